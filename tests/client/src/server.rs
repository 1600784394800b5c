//! A server's side: takes TLS connections.

use crate::{
    ClientAuth, ClientHello, Connection, Error, ServerConfig,
    client_hello::Hello,
    handshake::{Handshake, Role},
};
use std::{
    fmt, io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

pub use crate::{
    TlsStream,
    resolve::{ResolvesServerCert, ResolvesServerCertUsingSni},
};
pub use rustls::server::Acceptor;

/// Bytes that are read from the client at once before there is a handshake.
const CHUNK: usize = 4 * 1024;

/// Takes TLS connections as a server, by the kernel's `SspiAcceptSecurityContextAsync` (Microsoft's
/// documentation of `AcceptSecurityContext (Schannel)`).
#[derive(Clone, Debug)]
pub struct TlsAcceptor(Arc<ServerConfig>);

impl From<Arc<ServerConfig>> for TlsAcceptor {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self(config)
    }
}

impl TlsAcceptor {
    /// Takes a connection on `stream`.
    ///
    /// Dropping the future gives the handshake up: the pending request is cancelled and the session
    /// closed. The driver limits how long a handshake may take, but the future hears of it with the next
    /// leg only, and waits without limit for a client that says nothing, before the first leg or later:
    /// wrap it in [`tokio::time::timeout`].
    ///
    /// # Errors
    ///
    /// The stream, the driver or the handshake failed; [`Error::of`] tells. When it was the handshake,
    /// the alert that tells the peer has been sent, if there is one. Or the client lacks what
    /// [`ClientAuth::Require`] demands; then close_notify has been said.
    pub fn accept<IO>(&self, stream: IO) -> Accept<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        Accept::new(Arc::clone(&self.0), Hello::default(), stream, Vec::new())
    }

    /// What it was made from.
    #[must_use]
    pub const fn config(&self) -> &Arc<ServerConfig> {
        &self.0
    }
}

/// A server's handshake; ready with the connection.
#[must_use = "it does nothing unless polled"]
pub struct Accept<IO>(FallibleAccept<IO>);

/// [`Accept`] whose failure gives the stream below back.
#[must_use = "it does nothing unless polled"]
pub struct FallibleAccept<IO>(State<IO>);

enum State<IO> {
    Shaking(Handshake<IO>),
    /// The client lacks what is demanded: close_notify is being said.
    Refusing(Box<TlsStream<IO>>, Error),
    Done,
}

impl<IO> Accept<IO> {
    fn new(config: Arc<ServerConfig>, hello: Hello, stream: IO, input: Vec<u8>) -> Self {
        let role = Role::Server { config, hello };
        Self(FallibleAccept(State::Shaking(Handshake::new(
            stream, role, input,
        ))))
    }

    /// Has the stream below come back with a failure.
    pub fn into_fallible(self) -> FallibleAccept<IO> {
        self.0
    }

    /// The stream below, until the handshake is over.
    pub fn get_ref(&self) -> Option<&IO> {
        match &self.0.0 {
            State::Shaking(handshake) => handshake.io(),
            State::Refusing(stream, _) => Some(stream.get_ref().0),
            State::Done => None,
        }
    }

    /// The same. Who reads or writes it breaks the handshake.
    pub fn get_mut(&mut self) -> Option<&mut IO> {
        match &mut self.0.0 {
            State::Shaking(handshake) => handshake.io_mut(),
            State::Refusing(stream, _) => Some(stream.get_mut().0),
            State::Done => None,
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for Accept<IO> {
    type Output = io::Result<TlsStream<IO>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let done = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(done.map_err(|(error, _)| error))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for FallibleAccept<IO> {
    type Output = Result<TlsStream<IO>, (io::Error, IO)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Shaking(handshake) = &mut self.0 {
            let done = ready!(handshake.poll(cx));
            let demanded = handshake.client_auth() == ClientAuth::Require;
            self.0 = State::Done;
            match done {
                Err((error, io)) => return Poll::Ready(Err((error.into(), io))),
                Ok(stream) => match is_known(stream.connection()) {
                    Err(error) if demanded => self.0 = State::Refusing(Box::new(stream), error),
                    _ => return Poll::Ready(Ok(stream)),
                },
            }
        }
        if let State::Refusing(stream, _) = &mut self.0 {
            // The client has finished its handshake: that it does not hear the end changes nothing.
            let _ = ready!(Pin::new(stream).poll_shutdown(cx));
        }
        match std::mem::replace(&mut self.0, State::Done) {
            State::Refusing(stream, error) => {
                Poll::Ready(Err((error.into(), stream.into_inner().0)))
            }
            State::Shaking(_) | State::Done => panic!("polled after it was ready"),
        }
    }
}

/// Whether the peer has shown a certificate that is good.
fn is_known(connection: &Connection) -> Result<(), Error> {
    if connection.certificates.is_empty() {
        return Err(Error::NoClientCertificate);
    }
    match connection.check {
        Some(check) if check.is_good() => Ok(()),
        check => Err(Error::ClientCertificate(check)),
    }
}

/// Reads what a client says first, before it is known what its connection is made from.
///
/// It is ready with a [`StartHandshake`], also when it cannot understand what the client says, or when
/// that is longer than a `ClientHello` can be: then the [`ClientHello`] is empty, and the driver judges.
/// Dropping it gives the connection up.
///
/// # Errors
///
/// The stream failed, or the client ended it.
#[must_use = "it does nothing unless polled"]
pub struct LazyConfigAcceptor<IO> {
    hello: Hello,
    io: Option<IO>,
    input: Vec<u8>,
}

/// A client that has said what it wants.
pub struct StartHandshake<IO> {
    hello: Hello,
    io: IO,
    input: Vec<u8>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> LazyConfigAcceptor<IO> {
    /// Reads from this stream, with this parser, usually a new one.
    pub fn new(acceptor: Acceptor, io: IO) -> Self {
        Self {
            hello: Hello::Partial(Box::new(acceptor)),
            io: Some(io),
            input: Vec::new(),
        }
    }

    /// The stream, with what has been read of it missing; `None` when it was taken or is ready.
    pub const fn take_io(&mut self) -> Option<IO> {
        self.io.take()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for LazyConfigAcceptor<IO> {
    type Output = io::Result<StartHandshake<IO>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        while this.hello.client_hello().is_none() {
            let Some(io) = &mut this.io else {
                return Poll::Ready(Err(io::Error::other("its stream has been taken")));
            };
            let before = this.input.len();
            this.input.reserve(CHUNK);
            if ready!(pin!(io.read_buf(&mut this.input)).poll(cx))? == 0 {
                return Poll::Ready(Err(Error::Vanished.into()));
            }
            this.hello.feed(&this.input, before);
        }
        let (input, hello) = (
            std::mem::take(&mut this.input),
            std::mem::take(&mut this.hello),
        );
        Poll::Ready(match this.io.take() {
            Some(io) => Ok(StartHandshake { hello, io, input }),
            None => Err(io::Error::other("its stream has been taken")),
        })
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> StartHandshake<IO> {
    /// What it says.
    #[must_use]
    pub fn client_hello(&self) -> ClientHello<'_> {
        self.hello.client_hello().unwrap_or_default()
    }

    /// Shakes hands as this says. The driver gets the client's bytes unchanged.
    pub fn into_stream(self, config: Arc<ServerConfig>) -> Accept<IO> {
        Accept::new(config, self.hello, self.io, self.input)
    }
}

/// Not what is in it: a peer's bytes.
impl<IO: fmt::Debug> fmt::Debug for StartHandshake<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartHandshake")
            .field("io", &self.io)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Check;
    use tlsgate_protocol::SecurityStatus;

    #[test]
    fn only_a_certificate_that_was_checked_and_found_good_will_do() {
        let good = Check {
            chain_errors: 0,
            result: SecurityStatus::SEC_E_OK,
        };
        let bad = Check {
            chain_errors: 0x20,
            result: SecurityStatus::CERT_E_UNTRUSTEDROOT,
        };
        let connection = |certificates: &[&[u8]], check| Connection {
            certificates: certificates.iter().map(|it| it.to_vec().into()).collect(),
            check,
            ..Connection::default()
        };
        assert!(is_known(&connection(&[b"der"], Some(good))).is_ok());
        for check in [None, Some(good), Some(bad)] {
            let none = is_known(&connection(&[], check));
            assert!(matches!(none, Err(Error::NoClientCertificate)), "{check:?}");
        }
        for check in [None, Some(bad)] {
            let unknown = is_known(&connection(&[b"der"], check));
            assert!(matches!(unknown, Err(Error::ClientCertificate(it)) if it == check));
        }
    }
}
