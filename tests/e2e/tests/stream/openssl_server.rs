//! OpenSSL as the server.

use crate::{
    carried::{Facts, Forward, accept},
    flights::Flights,
    pki::Identity,
};
use anyhow::{Context, Result, anyhow};
use openssl::ssl::{
    AlpnError, HandshakeError, Ssl, SslContext, SslContextBuilder, SslMethod, SslStream, SslVersion,
};
use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
};

/// A server that takes one connection at a time.
pub struct OpensslServer {
    listener: TcpListener,
    context: SslContext,
}

/// A connection: the plain end at the driver's client, the TLS end at OpenSSL, and what the driver
/// says of it.
pub struct Met {
    pub plain: TcpStream,
    pub tls: SslStream<TcpStream>,
    pub facts: Facts,
}

impl OpensslServer {
    /// One of this version with this certificate, and what else `change` sets.
    pub fn new(
        version: SslVersion,
        identity: &Identity,
        change: impl FnOnce(&mut SslContextBuilder) -> Result<()>,
    ) -> Result<Self> {
        let mut context = SslContext::builder(SslMethod::tls_server())?;
        context.set_min_proto_version(Some(version))?;
        context.set_max_proto_version(Some(version))?;
        context.set_certificate(&identity.certificate)?;
        context.set_private_key(&identity.key)?;
        // Without one, sessions of clients that are asked for a certificate are not resumed.
        context.set_session_id_context(b"tests")?;
        context.set_alpn_select_callback(|_, offered| {
            openssl::ssl::select_next_proto(b"\x02h2\x08http/1.1", offered).ok_or(AlpnError::NOACK)
        });
        change(&mut context)?;
        Ok(Self {
            listener: TcpListener::bind(("127.0.0.1", 0))?,
            context: context.build(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// The server's side of the next connection.
    pub fn accept(&self) -> Result<SslStream<TcpStream>> {
        let socket = accept(&self.listener)?;
        Ssl::new(&self.context)?
            .accept(socket)
            .map_err(|error| match error {
                HandshakeError::SetupFailure(error) => error.into(),
                HandshakeError::Failure(stream) | HandshakeError::WouldBlock(stream) => {
                    anyhow!("no handshake: {}", stream.error())
                }
            })
    }

    /// The same before the handshake, with every flight sent by `send`.
    pub fn accept_in_flights<F>(&self, send: F) -> Result<SslStream<Flights<F>>>
    where
        F: FnMut(&TcpStream, usize, &[u8]) -> io::Result<()>,
    {
        let socket = accept(&self.listener)?;
        let ssl = Ssl::new(&self.context)?;
        Ok(SslStream::new(ssl, Flights::new(socket, send))?)
    }

    /// Both sides of a new connection.
    pub fn meet(&self, forward: &Forward) -> Result<Met> {
        let plain = forward.dial()?;
        let tls = self.accept();
        // What the client says of a failure is the better explanation.
        let facts = match &tls {
            Ok(_) => forward.facts(),
            Err(error) => Err(anyhow!(
                "OpenSSL: {error:#}; the driver: {:?}",
                forward.failure()
            )),
        };
        Ok(Met {
            plain,
            facts: facts.context("what the client says")?,
            tls: tls?,
        })
    }

    /// Both sides' reasons for a connection that must not come about.
    pub fn part(&self, forward: &Forward) -> Result<(String, String)> {
        let _plain = forward.dial()?;
        let server = self.accept();
        let client = forward.failure()?;
        // With TLS 1.3 the server has finished before the client judges: the alert comes later.
        let server = match server {
            Err(error) => error.to_string(),
            Ok(mut stream) => match stream.ssl_read(&mut [0]) {
                Err(error) => error.to_string(),
                Ok(_) => "no alert".to_owned(),
            },
        };
        Ok((client, server))
    }
}
