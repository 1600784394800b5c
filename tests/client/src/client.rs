//! A client's side: makes TLS connections.

use crate::{
    ClientConfig,
    handshake::{Handshake, Role},
};
use rustls_pki_types::ServerName;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite};

pub use crate::TlsStream;

/// Makes TLS connections as a client, by the kernel's `SspiInitializeSecurityContextAsyncW` (Microsoft's
/// documentation of `InitializeSecurityContext (Schannel)`).
#[derive(Clone, Debug)]
pub struct TlsConnector(Arc<ClientConfig>);

impl From<Arc<ClientConfig>> for TlsConnector {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self(config)
    }
}

impl TlsConnector {
    /// Connects on `stream` to the server of this name, which its certificate must be for unless the
    /// credential leaves the check to the caller
    /// ([`manual_check`](crate::CredentialOptions::manual_check)).
    ///
    /// Dropping the future gives the handshake up: the pending request is cancelled and the session
    /// closed. The driver limits how long a handshake may take, but the future hears of it with the next
    /// leg only, and waits without limit for a server that says nothing: wrap it in
    /// [`tokio::time::timeout`].
    ///
    /// # Errors
    ///
    /// The stream, the driver or the handshake failed; [`Error::of`](crate::Error::of) tells. When it
    /// was the handshake, the alert that tells the peer has been sent, if there is one.
    pub fn connect<IO>(&self, domain: ServerName<'static>, stream: IO) -> Connect<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let role = Role::Client {
            config: Arc::clone(&self.0),
            server_name: domain,
        };
        Connect(FallibleConnect(Handshake::new(stream, role, Vec::new())))
    }

    /// What it was made from.
    #[must_use]
    pub const fn config(&self) -> &Arc<ClientConfig> {
        &self.0
    }
}

/// A client's handshake; ready with the connection.
#[must_use = "it does nothing unless polled"]
pub struct Connect<IO>(FallibleConnect<IO>);

/// [`Connect`] whose failure gives the stream below back.
#[must_use = "it does nothing unless polled"]
pub struct FallibleConnect<IO>(Handshake<IO>);

impl<IO> Connect<IO> {
    /// Has the stream below come back with a failure.
    pub fn into_fallible(self) -> FallibleConnect<IO> {
        self.0
    }

    /// The stream below, until the handshake is over.
    pub const fn get_ref(&self) -> Option<&IO> {
        self.0.0.io()
    }

    /// The same. Who reads or writes it breaks the handshake.
    pub const fn get_mut(&mut self) -> Option<&mut IO> {
        self.0.0.io_mut()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for Connect<IO> {
    type Output = io::Result<TlsStream<IO>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let done = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(done.map_err(|(error, _)| error))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for FallibleConnect<IO> {
    type Output = Result<TlsStream<IO>, (io::Error, IO)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let done = ready!(self.0.poll(cx));
        Poll::Ready(done.map_err(|(error, io)| (error.into(), io)))
    }
}
