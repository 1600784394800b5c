//! `tlsgate forward`: TCP connections carried over TLS, one for one.

use crate::{announce, carry, cli, client::Client, input};
use anyhow::{Context, Result};
use std::sync::Arc;
use tlsgate::Driver;
use tokio::{
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
                        carry::say(&format!("failed: {error:#}"));
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
async fn connection(client: &Client, socket: TcpStream) -> Result<()> {
    socket.set_nodelay(true)?;
    let stream = client.connect().await?;
    carry::tell(stream.connection());
    Ok(carry::both_ways(stream, socket).await?)
}
