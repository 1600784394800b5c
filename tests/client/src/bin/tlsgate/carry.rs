//! Bytes between a TLS connection and a plain one, and a line for each that tells of it.

use crate::page;
use std::io::Write;
use tlsgate::{Connection, Error, TlsStream};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// Bytes that are carried at once.
const CHUNK: usize = 64 * 1024;

/// Prints what was negotiated.
pub fn tell(connection: &Connection) {
    let facts = page::negotiated(connection);
    let facts: Vec<_> = facts
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    say(&format!("connected: {}", facts.join(" | ")));
}

/// Carries everything until both sides have ended, and prints how they did. The end of one is passed
/// on as what it was: a TLS connection that is cut must not look like one that ends.
pub async fn both_ways(
    mut stream: TlsStream<TcpStream>,
    mut plain: TcpStream,
) -> Result<(), Error> {
    let carried = tokio::io::copy_bidirectional_with_sizes(&mut plain, &mut stream, CHUNK, CHUNK);
    if let Err(error) = carried.await {
        say(&format!("broken: {error}"));
        plain.set_zero_linger().map_err(Error::Stream)?;
        return Ok(());
    }
    plain.shutdown().await.map_err(Error::Stream)?;
    stream.close().await?;
    say("ended");
    Ok(())
}

/// One line for those who read along.
pub fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    // Nobody listens any more: that is no reason to stop.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}
