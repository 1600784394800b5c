//! The handshake over any byte stream: bytes to the driver, tokens to the peer.

use crate::{
    ClientAuth, ClientConfig, Connection, Credential, Error, Leg, NewSession, Pending,
    ServerConfig, TlsStream,
    buffer::Buffer,
    client_hello::Hello,
    session::{Session, Side},
};
use rustls_pki_types::ServerName;
use std::{
    mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};
use tlsgate_protocol::{SecurityStatus, limits, payload::state};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// Bytes that are read from the peer at once.
const CHUNK: usize = 16 * 1024;

/// What a server without a credential for its client says: a fatal alert `unrecognized_name` (RFC
/// 6066, section 3) in a record of its own. No session makes it, because there is none.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Which side it is, and what it begins with.
pub enum Role {
    /// It accepts.
    Server {
        /// As this says.
        config: Arc<ServerConfig>,
        /// The `ClientHello`, read along.
        hello: Hello,
    },
    /// It connects.
    Client {
        /// As this says.
        config: Arc<ClientConfig>,
        /// To the server of this name.
        server_name: ServerName<'static>,
    },
}

/// A handshake that goes on. Dropping it gives it up: the pending request is cancelled and the session
/// closed.
pub struct Handshake<IO> {
    /// `None` once it is over.
    io: Option<IO>,
    role: Role,
    /// `None` until it is chosen.
    credential: Option<Credential>,
    /// `None` until the driver has named it.
    session: Option<Session>,
    /// What the peer has sent and no leg has used up: always sent again in front of what comes next.
    /// Less than [`limits::MAX_INPUT`] before a read.
    input: Vec<u8>,
    step: Step,
    /// Tokens that the stream has not taken yet.
    outgoing: Buffer,
}

/// What it waits for, or does next.
enum Step {
    /// More bytes from the peer.
    Read,
    /// Send a leg.
    Begin,
    /// The leg's reply.
    Leg(Pending<Leg>),
    /// The stream takes the leg's token; then comes what the leg has led to.
    Send(After),
    /// What was negotiated.
    Query(Pending<Connection>),
}

/// What a leg has led to.
enum After {
    Read,
    Begin,
    Established,
    Failed(Error),
}

impl Role {
    /// The credential; `None` as long as nobody can say.
    fn credential(&self) -> Result<Option<Credential>, Error> {
        match self {
            Self::Client { config, .. } => Ok(Some(config.credential.clone())),
            Self::Server { config, hello } => {
                match (config.cert_resolver.always(), hello.client_hello()) {
                    (Some(credential), _) => Ok(Some(credential)),
                    (None, None) => Ok(None),
                    (None, Some(hello)) => match config.cert_resolver.resolve(hello) {
                        None => Err(Error::NoCredential),
                        credential => Ok(credential),
                    },
                }
            }
        }
    }

    fn first_leg(&self, credential: &Credential, input: &[u8]) -> Pending<Leg> {
        let (name, alpn, timeout) = match self {
            Self::Server { config, .. } => (None, &config.alpn_protocols, config.handshake_timeout),
            Self::Client {
                config,
                server_name,
            } => (
                Some(server_name.to_str()),
                &config.alpn_protocols,
                config.handshake_timeout,
            ),
        };
        let alpn: Vec<&[u8]> = alpn.iter().map(Vec::as_slice).collect();
        let new = NewSession {
            credential: credential.id(),
            server_name: name.as_deref().unwrap_or_default(),
            alpn: &alpn,
            timeout,
        };
        self.side().begin(credential.driver(), new, input)
    }

    const fn side(&self) -> Side {
        match self {
            Self::Server { .. } => Side::Server,
            Self::Client { .. } => Side::Client,
        }
    }
}

impl<IO> Handshake<IO> {
    /// One that begins with these bytes, which the peer has sent already.
    pub fn new(io: IO, role: Role, input: Vec<u8>) -> Self {
        // The client speaks first.
        let step = match role.side() {
            Side::Server if input.is_empty() => Step::Read,
            Side::Server | Side::Client => Step::Begin,
        };
        Self {
            io: Some(io),
            role,
            credential: None,
            session: None,
            input,
            step,
            outgoing: Buffer::default(),
        }
    }

    /// What it makes of its clients' certificates.
    pub fn client_auth(&self) -> ClientAuth {
        match &self.role {
            Role::Server { config, .. } => config.client_auth,
            Role::Client { .. } => ClientAuth::None,
        }
    }

    /// The stream below, until the handshake is over.
    pub const fn io(&self) -> Option<&IO> {
        self.io.as_ref()
    }

    /// The stream below, until the handshake is over.
    pub const fn io_mut(&mut self) -> Option<&mut IO> {
        self.io.as_mut()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Handshake<IO> {
    /// Goes on. With a failure, the stream below comes back; the alert, if there is one, has been sent
    /// on it.
    ///
    /// # Panics
    ///
    /// It was ready before.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<TlsStream<IO>, (Error, IO)>> {
        let mut io = self.io.take().expect("polled after it was ready");
        let outcome = match self.poll_connection(&mut io, cx) {
            Poll::Pending => {
                self.io = Some(io);
                return Poll::Pending;
            }
            Poll::Ready(outcome) => outcome,
        };
        let input = mem::take(&mut self.input);
        // With a failure, the session is closed here.
        Poll::Ready(match (outcome, self.session.take()) {
            (Ok(connection), Some(session)) => Ok(TlsStream::new(io, session, connection, input)),
            (Ok(_), None) => Err((self.no_session(), io)),
            (Err(error), _) => Err((error, io)),
        })
    }

    fn poll_connection(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Connection, Error>> {
        loop {
            self.step = match &mut self.step {
                Step::Read => {
                    ready!(self.poll_read(io, cx))?;
                    Step::Begin
                }
                Step::Begin => self.begin(),
                Step::Leg(reply) => {
                    let leg = ready!(reply.as_mut().poll(cx))?;
                    Step::Send(self.take_in(&leg))
                }
                Step::Send(_) => {
                    let sent = ready!(self.poll_send(io, cx));
                    match mem::replace(&mut self.step, Step::Begin) {
                        // A peer that does not wait for its alert must not hide why it failed.
                        Step::Send(After::Failed(error)) => return Poll::Ready(Err(error)),
                        Step::Send(after) => {
                            sent?;
                            self.go_on(&after)?
                        }
                        step => step,
                    }
                }
                Step::Query(reply) => {
                    let mut connection = ready!(reply.as_mut().poll(cx))?;
                    if let Role::Server { hello, .. } = &self.role {
                        connection.server_name = hello.server_name();
                    }
                    return Poll::Ready(Ok(connection));
                }
            };
        }
    }

    /// Waits for at least one more byte.
    fn poll_read(&mut self, io: &mut IO, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.input.len() >= limits::MAX_INPUT {
            return Poll::Ready(Err(Error::TooMuchInput));
        }
        let before = self.input.len();
        self.input.reserve(CHUNK);
        let read = pin!(io.read_buf(&mut self.input)).poll(cx);
        match ready!(read) {
            Ok(0) => return Poll::Ready(Err(Error::Vanished)),
            Ok(_) => {}
            Err(error) => {
                let doing = "reading the peer's part of the handshake";
                return Poll::Ready(Err(Error::Stream { doing, error }));
            }
        }
        if let Role::Server { hello, .. } = &mut self.role {
            hello.feed(&self.input, before);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends the next leg, once the credential is chosen.
    fn begin(&mut self) -> Step {
        let offered = &self.input[..self.input.len().min(limits::MAX_INPUT)];
        if let Some(session) = &self.session {
            return Step::Leg(session.leg(offered));
        }
        if self.credential.is_none() {
            match self.role.credential() {
                Ok(Some(credential)) => self.credential = Some(credential),
                Ok(None) => return Step::Read,
                Err(error) => {
                    self.outgoing.append(&UNRECOGNIZED_NAME);
                    return Step::Send(After::Failed(error));
                }
            }
        }
        match &self.credential {
            Some(credential) => Step::Leg(self.role.first_leg(credential, offered)),
            None => Step::Read,
        }
    }

    /// Takes a leg's reply for what it is.
    fn take_in(&mut self, leg: &Leg) -> After {
        if let (None, Some(id), Some(credential)) = (&self.session, leg.session, &self.credential) {
            self.session = Some(Session::new(credential.clone(), id, self.role.side()));
        }
        self.input.drain(..leg.consumed);
        self.outgoing.append(&leg.token);
        match (leg.state, leg.status) {
            (state::ESTABLISHED, _) => After::Established,
            (_, SecurityStatus::SEC_E_INCOMPLETE_MESSAGE) => After::Read,
            (state::HANDSHAKING, _) if leg.consumed == 0 || self.input.is_empty() => After::Read,
            // More of the input can be used before the peer has to be heard.
            (state::HANDSHAKING, _) => After::Begin,
            (_, status) => After::Failed(Error::Handshake {
                status,
                alert: leg.alert,
            }),
        }
    }

    /// Hands the leg's token to the stream, whatever its status is: with an error, it is the alert.
    fn poll_send(&mut self, io: &mut IO, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let failed = |error| {
            let doing = "sending this side's part of the handshake";
            Err(Error::Stream { doing, error })
        };
        let sent = match ready!(self.outgoing.poll_write_to(io, cx)) {
            Ok(()) => ready!(Pin::new(io).poll_flush(cx)),
            error => error,
        };
        Poll::Ready(sent.or_else(failed))
    }

    fn go_on(&self, after: &After) -> Result<Step, Error> {
        Ok(match (after, &self.session) {
            (After::Read, _) => Step::Read,
            (After::Established, Some(session)) => Step::Query(session.query()),
            (After::Established, None) => return Err(self.no_session()),
            (After::Begin | After::Failed(_), _) => Step::Begin,
        })
    }

    const fn no_session(&self) -> Error {
        Error::Reply {
            ioctl: self.role.side().ioctl(),
            problem: "no session",
        }
    }
}
