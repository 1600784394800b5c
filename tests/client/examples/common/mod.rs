//! What every example's server does: says where it listens, and stops when it is told to.

#![allow(dead_code, reason = "each example uses a part of it")]

use anyhow::{Context, Result};
use clap::Args;
use std::{io::Write, net::SocketAddr, time::Duration};
use tokio::{
    io,
    net::{TcpListener, TcpStream},
};

/// How long a handshake may take, with the wait for a peer that says nothing.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where a server listens, and until when.
#[derive(Debug, Args)]
pub struct Listen {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Stop at the end of the standard input instead of at Ctrl-C.
    #[arg(long)]
    until_stdin_closes: bool,
}

impl Listen {
    /// Hands every connection to `serve`, in a task of its own, until it is to stop.
    pub async fn each<F>(&self, serve: impl Fn(TcpStream) -> F) -> Result<()>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("cannot listen on {}", self.listen))?;
        writeln!(std::io::stdout(), "listening on {}", listener.local_addr()?)?;
        let serving = async {
            loop {
                match listener.accept().await {
                    Ok((socket, peer)) => {
                        let connection = serve(socket);
                        tokio::spawn(async move {
                            if let Err(error) = connection.await {
                                eprintln!("{peer}: {error:#}");
                            }
                        });
                    }
                    Err(error) => eprintln!("a connection was lost: {error}"),
                }
            }
        };
        tokio::select! {
            stopped = self.stop() => stopped,
            () = serving => Ok(()),
        }
    }

    async fn stop(&self) -> Result<()> {
        if self.until_stdin_closes {
            io::copy(&mut io::stdin(), &mut io::sink()).await?;
            Ok(())
        } else {
            Ok(tokio::signal::ctrl_c().await?)
        }
    }
}
