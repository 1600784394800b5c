//! `tlsgate forward`: TCP connections carried over TLS, one for one.

use crate::{announce, cli, client::Client, input, page};
use anyhow::{Context, Result};
use std::{io::Write, sync::Arc};
use tlsgate_client::Driver;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Forwards until it is told to stop.
pub async fn run(driver: &Driver, options: &cli::Forward) -> Result<()> {
    let client = Arc::new(Client::new(driver, &options.server, &options.client).await?);
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    announce(listener.local_addr()?)?;
    let mut connections = JoinSet::new();
    tokio::select! {
        () = input::stop(options.until_stdin_closes) => {}
        () = listen(&listener, &client, &mut connections) => {}
    }
    connections.shutdown().await;
    // Every connection, and with it every other use of the client, has ended.
    Arc::into_inner(client)
        .context("a connection outlives its task")?
        .release()
        .await
}

async fn listen(listener: &TcpListener, client: &Arc<Client>, connections: &mut JoinSet<()>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let client = Arc::clone(client);
                connections.spawn(async move {
                    if let Err(error) = connection(&client, socket).await {
                        say(&format!("failed: {error:#}"));
                    }
                });
            }
            Err(error) => eprintln!("a connection was lost: {error}"),
        }
        // Those that have ended need not be kept until the end.
        while connections.try_join_next().is_some() {}
    }
}

/// One connection, from its first byte to its last.
async fn connection(client: &Client, mut socket: TcpStream) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut stream = client.connect().await?;
    let facts = page::negotiated(stream.connection());
    let facts: Vec<_> = facts
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    say(&format!("connected: {}", facts.join("; ")));
    let carried = tokio::io::copy_bidirectional_with_sizes(&mut socket, &mut stream, CHUNK, CHUNK);
    let carried = carried.await;
    // The other end hears of it when the server cuts the connection: it must not look like an end.
    if let Err(error) = carried {
        socket.set_zero_linger()?;
        say(&format!("broken: {error}"));
        return Ok(());
    }
    socket.shutdown().await?;
    stream.close().await?;
    say("ended");
    Ok(())
}

/// Bytes that are carried at once.
const CHUNK: usize = 64 * 1024;

/// One line for those who read along.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    // Nobody listens any more: that is no reason to stop.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}
