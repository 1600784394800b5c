//! Both sides of the connections that are measured, each of either kind.

use super::{Bench, Peer};
use crate::{
    cli,
    selftest::{
        peer::{self, Version},
        pki::{NAME, Pki, reference},
        site::{self, Handle},
    },
};
use anyhow::{Context, Result, ensure};
use rustls::{HandshakeKind, client::Resumption, pki_types::ServerName};
use std::sync::Arc;
use tlsgate::CredentialOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

/// What a connection runs over: memory of this process.
pub type Pipe = DuplexStream;

/// Bytes that are on their way in a pipe at most.
pub const PIPE: usize = 256 * 1024;

/// A stream of either kind.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A server of either kind.
#[derive(Clone)]
pub enum Server {
    Driver(site::Server),
    Rustls(tokio_rustls::TlsAcceptor),
}

/// Clients of either kind.
#[derive(Clone)]
pub enum Clients {
    Rustls(tokio_rustls::TlsConnector),
    Driver(site::Client),
}

/// A connection after its handshake.
pub struct Connected {
    pub server: Box<dyn Stream>,
    pub client: Box<dyn Stream>,
    /// Whether the handshake was a resumed one, as the client says.
    pub resumed: bool,
}

fn version(options: &Bench) -> Version {
    match options.tls {
        cli::Version::Tls12 => Version::Tls12,
        cli::Version::Tls13 => Version::Tls13,
    }
}

impl Server {
    /// The driver's.
    pub async fn driver(options: &Bench, handle: &Handle, pki: &Pki) -> Result<Self> {
        let credential = CredentialOptions::server(reference(&pki.server))
            .protocols(version(options).protocols());
        Ok(Self::Driver(handle.server(&credential).await?))
    }

    /// rustls with the same key, so that both sign the same way.
    pub fn rustls(options: &Bench, pki: &Pki) -> Result<Self> {
        let identity = pki.server_for_rustls()?;
        let config = peer::server(version(options), &identity)?;
        Ok(Self::Rustls(Arc::new(config).into()))
    }

    pub const fn name(&self) -> &'static str {
        match self {
            Self::Driver(_) => "TlsGate",
            Self::Rustls(_) => "rustls",
        }
    }

    async fn accept(&self, pipe: Pipe) -> Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Driver(server) => Box::new(server.accept(pipe).await?),
            Self::Rustls(acceptor) => Box::new(acceptor.accept(pipe).await?),
        })
    }
}

impl Clients {
    /// Those that the options ask for.
    pub async fn new(options: &Bench, handle: &Handle, pki: &Pki) -> Result<Self> {
        let version = version(options);
        match options.peer {
            Peer::Rustls => {
                let mut config = peer::client(pki, version)?;
                if !options.resumed {
                    config.resumption = Resumption::disabled();
                }
                Ok(Self::Rustls(Arc::new(config).into()))
            }
            Peer::Tlsgate => {
                let mut credential = CredentialOptions::client().protocols(version.protocols());
                if !options.resumed {
                    credential = credential.no_resumption();
                }
                Ok(Self::Driver(handle.client(&credential).await?))
            }
        }
    }

    async fn connect(&self, pipe: Pipe) -> Result<(Box<dyn Stream>, bool)> {
        match self {
            Self::Rustls(connector) => {
                let stream = connector.connect(ServerName::try_from(NAME)?, pipe).await?;
                let kind = stream.get_ref().1.handshake_kind();
                Ok((Box::new(stream), kind == Some(HandshakeKind::Resumed)))
            }
            Self::Driver(client) => {
                let stream = client.connect(NAME, pipe)?.await?;
                let resumed = stream.connection().resumed;
                Ok((Box::new(stream), resumed))
            }
        }
    }
}

/// Shakes hands.
pub async fn connect(server: &Server, clients: &Clients) -> Result<Connected> {
    let (near, far) = tokio::io::duplex(PIPE);
    let accepting = async { server.accept(near).await.context("the server") };
    let connecting = async { clients.connect(far).await.context("the client") };
    let (server, (client, resumed)) = tokio::try_join!(accepting, connecting)?;
    Ok(Connected {
        server,
        client,
        resumed,
    })
}

impl Connected {
    /// The server says a byte: with it a TLS 1.3 client gets its tickets.
    pub async fn first_byte(&mut self) -> Result<()> {
        let mut byte = [0];
        let say = async {
            self.server.write_all(b"!").await?;
            self.server.flush().await
        };
        tokio::try_join!(say, self.client.read_exact(&mut byte))?;
        ensure!(byte == *b"!", "another byte than was sent");
        Ok(())
    }
}
