//! One end of a connection from its first leg to its last record, by the rules of
//! `AcceptSecurityContext` (Schannel) and "Extra Buffers Returned by Schannel",
//! MicrosoftDocs/win32.

use super::{
    handshake::{Connection, Handshake, Progress},
    outcome::{Alert, Outcome, alert_of, status_of},
    record::{ALERT, Front, HANDSHAKE, HEADER, front},
    session::Session,
};
use rustls::{
    CommonState, Error, HandshakeKind, NamedGroup, ProtocolVersion, SupportedCipherSuite,
};
use std::mem;
use tlsgate_lab_control::ksecdd::{Fragments, Records};
use windows_sys::Win32::Foundation::{
    SEC_E_INCOMPLETE_MESSAGE, SEC_E_INVALID_TOKEN, SEC_E_OK, SEC_E_OUT_OF_SEQUENCE,
    SEC_I_CONTINUE_NEEDED,
};

/// One end of a connection.
pub struct Engine {
    state: State,
    records: Records,
    fragments: Fragments,
    /// Input that rustls has seen but the caller was told to keep and bring again.
    ahead: Vec<u8>,
    /// That of the `ServerHello`, once it has passed.
    session_id: Option<Vec<u8>>,
}

enum State {
    Handshaking(Box<Handshake>),
    Open(Box<Session>),
    Failed,
}

/// What a handshake settled.
#[derive(Debug, Clone)]
pub struct Facts {
    /// TLS version.
    pub version: ProtocolVersion,
    /// Cipher suite.
    pub suite: SupportedCipherSuite,
    /// Key exchange group.
    pub group: Option<NamedGroup>,
    /// Application protocol.
    pub alpn: Option<Vec<u8>>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The session id of the `ServerHello`, which TLS 1.3 has for show.
    pub session_id: Vec<u8>,
    /// The peer's certificates, its own first.
    pub peer_certificates: Vec<Vec<u8>>,
}

/// The caller brought other bytes than the contract has it bring again.
#[derive(Debug, PartialEq, Eq)]
pub struct InputChanged;

impl Engine {
    /// An end that has not begun.
    pub fn new(connection: Connection, records: Records, fragments: Fragments) -> Self {
        let state = State::Handshaking(Box::new(Handshake::new(connection)));
        Self {
            state,
            records,
            fragments,
            ahead: Vec::new(),
            session_id: None,
        }
    }

    /// One leg.
    pub fn leg(&mut self, input: &[u8]) -> Result<Outcome, InputChanged> {
        match &mut self.state {
            State::Failed => Ok(Outcome::refused(SEC_E_OUT_OF_SEQUENCE)),
            State::Open(session) => session.leg(input).ok_or(InputChanged),
            State::Handshaking(_) => self.handshake_leg(input),
        }
    }

    /// The bytes are not those that were due, and the connection is over. Which status Schannel has for that
    /// is not documented.
    pub fn give_up(&mut self) -> Outcome {
        self.state = State::Failed;
        Outcome::refused(SEC_E_INVALID_TOKEN)
    }

    /// The session of a connection whose handshake is done.
    pub fn session(&mut self) -> Option<&mut Session> {
        match &mut self.state {
            State::Open(session) => Some(session),
            State::Handshaking(_) | State::Failed => None,
        }
    }

    fn handshake_leg(&mut self, input: &[u8]) -> Result<Outcome, InputChanged> {
        if !input.starts_with(&self.ahead) {
            return Err(InputChanged);
        }
        let mut token = Vec::new();
        // A client speaks first, with no input.
        if input.is_empty() && self.is_unbegun_client() {
            return Ok(match self.feed(&[], &mut token) {
                Ok(_) => going_on(0, token),
                Err(error) => self.fail(&error, input, token),
            });
        }
        let (mut consumed, mut read) = (0, self.ahead.len());
        loop {
            let (record, whole) = match front(&input[read..]) {
                Front::Partial { .. } if consumed > 0 => return Ok(going_on(consumed, token)),
                Front::Partial { missing } => {
                    return Ok(Outcome {
                        missing: Some(missing),
                        ..Outcome::refused(SEC_E_INCOMPLETE_MESSAGE)
                    });
                }
                Front::Record(length) => (&input[read..read + length], true),
                // rustls has the word for it.
                Front::NotTls => (&input[read..], false),
            };
            read += record.len();
            match self.feed(record, &mut token) {
                Err(error) => return Ok(self.fail(&error, input, token)),
                Ok(Progress::Done) => return Ok(self.open(read, token, input)),
                Ok(_) if !whole => {
                    let error = Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
                    return Ok(self.fail(&error, input, token));
                }
                Ok(Progress::Midway) if self.fragments == Fragments::Kept => {
                    self.ahead.extend_from_slice(record);
                }
                Ok(_) => {
                    consumed = read;
                    self.ahead.clear();
                    if self.records == Records::One {
                        return Ok(going_on(consumed, token));
                    }
                }
            }
            if read == input.len() {
                return Ok(if consumed > 0 {
                    going_on(consumed, token)
                } else {
                    // In the middle of a message: at least another record's header is missing.
                    Outcome {
                        missing: Some(HEADER),
                        ..Outcome::refused(SEC_E_INCOMPLETE_MESSAGE)
                    }
                });
            }
        }
    }

    fn is_unbegun_client(&self) -> bool {
        matches!(&self.state, State::Handshaking(handshake) if handshake.is_unbegun_client())
    }

    fn feed(&mut self, bytes: &[u8], token: &mut Vec<u8>) -> Result<Progress, Error> {
        let State::Handshaking(handshake) = &mut self.state else {
            return Err(Error::HandshakeNotComplete);
        };
        let said = token.len();
        let progress = handshake.feed(bytes, token);
        // Whoever says it; nothing is encrypted before.
        if self.session_id.is_none() {
            let spoken = [bytes, &token[said..]];
            self.session_id = spoken.into_iter().find_map(session_id).map(<[u8]>::to_vec);
        }
        progress
    }

    fn open(&mut self, consumed: usize, token: Vec<u8>, input: &[u8]) -> Outcome {
        let State::Handshaking(handshake) = mem::replace(&mut self.state, State::Failed) else {
            return Outcome::refused(SEC_E_OUT_OF_SEQUENCE);
        };
        self.ahead.clear();
        let connection = handshake.into_connection();
        let session = Facts::of(match &connection {
            Connection::Server(server) => server,
            Connection::Client(client) => client,
        })
        .and_then(|facts| {
            let session_id = self.session_id.take().unwrap_or_default();
            Session::new(
                Facts {
                    session_id,
                    ..facts
                },
                connection,
            )
        });
        match session {
            Ok(session) => {
                self.state = State::Open(Box::new(session));
                Outcome {
                    status: SEC_E_OK,
                    consumed,
                    missing: None,
                    token,
                    alert: None,
                }
            }
            Err(error) => self.fail(&error, input, token),
        }
    }

    /// Ends the connection; all input counts as consumed.
    fn fail(&mut self, error: &Error, input: &[u8], token: Vec<u8>) -> Outcome {
        self.state = State::Failed;
        let alert = match token.last_chunk::<{ HEADER + 2 }>() {
            Some(&[ALERT, 3, _, 0, 2, level, description]) => Some(Alert { level, description }),
            _ if token.is_empty() => None,
            _ => Some(Alert::fatal(alert_of(error))),
        };
        Outcome {
            status: status_of(error),
            consumed: input.len(),
            missing: None,
            token,
            alert,
        }
    }
}

/// The session id in a record that begins with a `ServerHello` (RFC 8446, section 4.1.3).
fn session_id(record: &[u8]) -> Option<&[u8]> {
    const SERVER_HELLO: u8 = 2;
    /// Message type and length, version, random.
    const IN_FRONT: usize = 4 + 2 + 32;
    let (header, message) = record.split_at_checked(HEADER)?;
    if header[0] != HANDSHAKE || *message.first()? != SERVER_HELLO {
        return None;
    }
    let (&length, rest) = message.get(IN_FRONT..)?.split_first()?;
    rest.get(..usize::from(length))
}

fn going_on(consumed: usize, token: Vec<u8>) -> Outcome {
    Outcome {
        status: SEC_I_CONTINUE_NEEDED,
        consumed,
        missing: None,
        token,
        alert: None,
    }
}

impl Facts {
    fn of(connection: &CommonState) -> Result<Self, Error> {
        Ok(Self {
            version: connection
                .protocol_version()
                .ok_or(Error::HandshakeNotComplete)?,
            suite: connection
                .negotiated_cipher_suite()
                .ok_or(Error::HandshakeNotComplete)?,
            group: connection
                .negotiated_key_exchange_group()
                .map(rustls::crypto::SupportedKxGroup::name),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            session_id: Vec::new(),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            peer_certificates: connection
                .peer_certificates()
                .unwrap_or_default()
                .iter()
                .map(|certificate| certificate.to_vec())
                .collect(),
        })
    }
}
