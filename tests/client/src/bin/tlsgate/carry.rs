//! Bytes between a TLS connection and a plain one, and a line for each that tells of it.

use crate::page;
use std::io::{self, Write};
use tlsgate::{Connection, TlsStream};
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
pub async fn both_ways(mut stream: TlsStream<TcpStream>, mut plain: TcpStream) -> io::Result<()> {
    let carried = tokio::io::copy_bidirectional_with_sizes(&mut plain, &mut stream, CHUNK, CHUNK);
    if let Err(error) = carried.await {
        say(&format!("broken: {error}"));
        plain.set_zero_linger()?;
        return Ok(());
    }
    plain.shutdown().await?;
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
