//! What a server has for its clients: a page, files, an echo, or another server.

use super::http;
use crate::{carry, cli};
use anyhow::{Result, ensure};
use std::io;
use tlsgate::{TlsStream, protocol::payload::VersionReply};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tower_http::services::ServeDir;

/// One of them.
pub enum Content {
    /// The page that describes the connection, by this driver.
    Page(VersionReply),
    /// The files of a folder.
    Files(ServeDir),
    /// What comes goes back.
    Echo,
    /// Connections are carried to this server.
    To(String),
}

impl Content {
    /// What the command line says.
    pub fn new(options: &cli::Serve, version: VersionReply) -> Result<Self> {
        Ok(match (&options.dir, &options.to) {
            (Some(folder), _) => {
                ensure!(folder.is_dir(), "there is no folder {}", folder.display());
                Self::Files(ServeDir::new(folder))
            }
            (None, Some(server)) => Self::To(server.clone()),
            (None, None) if options.echo => Self::Echo,
            (None, None) => Self::Page(version),
        })
    }

    /// Serves one connection to its end.
    pub async fn serve(&self, stream: TlsStream<TcpStream>) -> io::Result<()> {
        match self {
            Self::Page(version) => http::page(stream, version).await,
            Self::Files(folder) => http::files(stream, folder).await,
            Self::Echo => return echo(stream).await,
            Self::To(server) => {
                carry::tell(stream.connection());
                let plain = TcpStream::connect(server).await?;
                plain.set_nodelay(true)?;
                return carry::both_ways(stream, plain).await;
            }
        }
        Ok(())
    }
}

/// Sends back what comes, until the client has ended its side.
async fn echo(stream: TlsStream<TcpStream>) -> io::Result<()> {
    let (mut reading, mut writing) = tokio::io::split(stream);
    tokio::io::copy(&mut reading, &mut writing).await?;
    let mut stream = reading.unsplit(writing);
    stream.shutdown().await?;
    stream.close().await?;
    Ok(())
}
