//! The driver's contract over rustls: decodes requests with the contract's own decoder.

use super::reply::Late;
use rustls::{ServerConfig, ServerConnection};
use std::{
    collections::HashMap,
    io::{Read, Write},
    num::NonZeroU64,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};
use tlsgate_client::{
    Reply, Transport,
    protocol::{
        CredentialId, DecodeError, Ioctl, NtStatus, Request, SecurityStatus, SessionId, Target,
        payload::{
            AcquireReply, CloseReply, LegReply, RecordReply, RecordRequest, ReleaseReply,
            ReplyHead, SessionReply, outcome, state,
        },
    },
};
use zerocopy::IntoBytes;

type Answer = Result<Vec<u8>, NtStatus>;

/// What the fake says in place of a post-handshake message.
pub const POST_HANDSHAKE: &[u8] = b"key update";

/// A driver in memory; clones share it.
#[derive(Clone)]
pub struct Fake(Arc<Shared>);

struct Shared {
    config: ServerConfig,
    state: Mutex<State>,
    cancelled: Arc<AtomicUsize>,
    /// Requests that use a context: a leg must find none of them.
    records_in_flight: AtomicUsize,
}

#[derive(Default)]
struct State {
    sessions: HashMap<u64, ServerConnection>,
    next: u64,
    /// So many UNSEALs from now on meet a post-handshake message first.
    post_handshake: usize,
    /// Post-handshake legs that were made.
    post_handshake_legs: usize,
    awaits_leg: bool,
}

impl Fake {
    pub fn new(config: ServerConfig) -> Self {
        Self(Arc::new(Shared {
            config,
            state: Mutex::default(),
            cancelled: Arc::default(),
            records_in_flight: AtomicUsize::new(0),
        }))
    }

    /// Sessions that exist.
    pub fn sessions(&self) -> usize {
        self.state().sessions.len()
    }

    /// Requests that were given up.
    pub fn cancelled(&self) -> usize {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Puts a post-handshake message in front of each of the next `count` records.
    pub fn insert_post_handshake(&self, count: usize) {
        self.state().post_handshake = count;
    }

    /// Post-handshake legs that were made.
    pub fn post_handshake_legs(&self) -> usize {
        self.state().post_handshake_legs
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    fn answer(&self, code: u32, input: &[u8], room: usize) -> Answer {
        let (_, request) = Request::decode(code, input, room).map_err(DecodeError::ntstatus)?;
        let mut state = self.state();
        let answer = match request {
            Request::Acquire(_) => AcquireReply {
                head: ReplyHead::new(SecurityStatus::SEC_E_OK),
                credential: CredentialId::new(NonZeroU64::MIN).get(),
            }
            .as_bytes()
            .to_vec(),
            Request::Release(_) => ReleaseReply {
                head: ReplyHead::new(SecurityStatus::SEC_E_OK),
                deferred: 0,
                reserved: 0,
            }
            .as_bytes()
            .to_vec(),
            Request::Accept(accept) => self.accept(&mut state, &accept.target, accept.input)?,
            Request::QuerySession(id) => query(state.session(id)?),
            Request::Seal(record) => {
                let payload = &input[size_of::<RecordRequest>()..][..record.length];
                state.seal(record.session, payload)?
            }
            Request::Unseal(record) => {
                let payload = &input[size_of::<RecordRequest>()..][..record.length];
                state.unseal(record.session, payload)?
            }
            Request::Shutdown(id) => {
                let connection = state.session(id)?;
                connection.send_close_notify();
                let record = token(connection);
                record_reply(SecurityStatus::SEC_E_OK, outcome::DATA, 2, &record)
            }
            Request::CloseSession(id) => {
                state
                    .sessions
                    .remove(&id.get())
                    .ok_or(NtStatus::STATUS_NOT_FOUND)?;
                CloseReply {
                    head: ReplyHead::new(SecurityStatus::SEC_E_OK),
                }
                .as_bytes()
                .to_vec()
            }
            Request::QueryVersion | Request::QueryStatistics => {
                return Err(NtStatus::STATUS_INVALID_DEVICE_REQUEST);
            }
        };
        assert!(answer.len() <= room, "the reply outgrew its buffer");
        Ok(answer)
    }

    fn accept(&self, state: &mut State, target: &Target<'_>, input: &[u8]) -> Answer {
        if self.0.records_in_flight.load(Ordering::SeqCst) > 0 {
            return Err(NtStatus::STATUS_DEVICE_BUSY);
        }
        if state.awaits_leg {
            assert_eq!(
                input, POST_HANDSHAKE,
                "a leg gets what UNSEAL gave, and only that"
            );
            state.awaits_leg = false;
            state.post_handshake_legs += 1;
            let Target::Session(id) = target else {
                panic!("it belongs to a session")
            };
            return Ok(leg(
                SecurityStatus::SEC_E_OK,
                id.get(),
                input.len(),
                b"",
                None,
            ));
        }
        if record_length(input).is_none() && looks_like_tls(input) {
            let id = if let Target::Session(id) = target {
                id.get()
            } else {
                0
            };
            return Ok(leg(
                SecurityStatus::SEC_E_INCOMPLETE_MESSAGE,
                id,
                0,
                b"",
                None,
            ));
        }
        let id = match target {
            Target::Session(id) => id.get(),
            Target::New { alpn, .. } => {
                let mut config = self.0.config.clone();
                config.alpn_protocols = names(alpn);
                state.next += 1;
                let connection = ServerConnection::new(Arc::new(config)).unwrap();
                state.sessions.insert(state.next, connection);
                state.next
            }
        };
        let connection = state
            .sessions
            .get_mut(&id)
            .ok_or(NtStatus::STATUS_NOT_FOUND)?;
        let mut consumed = 0;
        while connection.is_handshaking() {
            let rest = &input[consumed..];
            let length = match record_length(rest) {
                Some(length) => length,
                None if looks_like_tls(rest) => break,
                None => rest.len(),
            };
            if let Err(error) = feed(connection, &rest[..length]) {
                let token = token(connection);
                let status = match error {
                    rustls::Error::NoApplicationProtocol => {
                        SecurityStatus::SEC_E_APPLICATION_PROTOCOL_MISMATCH
                    }
                    _ => SecurityStatus::SEC_E_ILLEGAL_MESSAGE,
                };
                return Ok(leg(status, id, input.len(), &token, Some((2, 0))));
            }
            consumed += length;
        }
        let status = if connection.is_handshaking() {
            SecurityStatus::SEC_I_CONTINUE_NEEDED
        } else {
            SecurityStatus::SEC_E_OK
        };
        let token = token(connection);
        Ok(leg(status, id, consumed, &token, None))
    }
}

impl State {
    fn session(&mut self, id: SessionId) -> Result<&mut ServerConnection, NtStatus> {
        self.sessions
            .get_mut(&id.get())
            .ok_or(NtStatus::STATUS_NOT_FOUND)
    }

    fn seal(&mut self, id: SessionId, plaintext: &[u8]) -> Answer {
        let connection = self.session(id)?;
        connection.writer().write_all(plaintext).unwrap();
        let record = token(connection);
        Ok(record_reply(
            SecurityStatus::SEC_E_OK,
            outcome::DATA,
            plaintext.len(),
            &record,
        ))
    }

    fn unseal(&mut self, id: SessionId, record: &[u8]) -> Answer {
        assert!(!self.awaits_leg, "after RENEGOTIATE comes a leg");
        if self.post_handshake > 0 {
            self.post_handshake -= 1;
            self.awaits_leg = true;
            let status = SecurityStatus::SEC_I_RENEGOTIATE;
            return Ok(record_reply(
                status,
                outcome::RENEGOTIATE,
                0,
                POST_HANDSHAKE,
            ));
        }
        let connection = self.session(id)?;
        assert_eq!(
            record_length(record),
            Some(record.len()),
            "UNSEAL takes one whole record"
        );
        let Ok(io) = feed(connection, record) else {
            let alert = token(connection);
            let status = SecurityStatus::SEC_E_DECRYPT_FAILURE;
            return Ok(record_reply(status, outcome::FAILED, record.len(), &alert));
        };
        if io.peer_has_closed() {
            let status = SecurityStatus::SEC_I_CONTEXT_EXPIRED;
            return Ok(record_reply(
                status,
                outcome::PEER_CLOSED,
                record.len(),
                b"",
            ));
        }
        let mut plaintext = vec![0; io.plaintext_bytes_to_read()];
        connection.reader().read_exact(&mut plaintext).unwrap();
        Ok(record_reply(
            SecurityStatus::SEC_E_OK,
            outcome::DATA,
            record.len(),
            &plaintext,
        ))
    }
}

impl Transport for Fake {
    fn ioctl(&self, code: u32, input: Vec<u8>, output_length: usize) -> Reply {
        let answer = self.answer(code, &input, output_length);
        let record = matches!(Ioctl::from_code(code), Some(Ioctl::Seal | Ioctl::Unseal));
        let shared = Arc::clone(&self.0);
        if record {
            shared.records_in_flight.fetch_add(1, Ordering::SeqCst);
        }
        Box::pin(Late {
            answer: Some(answer),
            polls: 0,
            cancelled: Arc::clone(&self.0.cancelled),
            finished: move || {
                if record {
                    shared.records_in_flight.fetch_sub(1, Ordering::SeqCst);
                }
            },
        })
    }

    fn post(&self, code: u32, input: Vec<u8>, output_length: usize) {
        self.answer(code, &input, output_length)
            .expect("what is posted cannot fail");
    }
}

fn query(connection: &ServerConnection) -> Vec<u8> {
    let name = connection.alpn_protocol().unwrap_or_default();
    let mut alpn = [0; 256];
    alpn[..name.len()].copy_from_slice(name);
    SessionReply {
        head: ReplyHead::new(SecurityStatus::SEC_E_OK),
        session: 1,
        state: state::ESTABLISHED.into(),
        protocol: u16::from(connection.protocol_version().unwrap()).into(),
        cipher_suite: u16::from(connection.negotiated_cipher_suite().unwrap().suite()).into(),
        header: 5,
        trailer: 17,
        maximum_message: 16_384,
        alpn_length: name.len().try_into().unwrap(),
        reserved: 0,
        alpn,
    }
    .as_bytes()
    .to_vec()
}

fn leg(
    status: SecurityStatus,
    session: u64,
    consumed: usize,
    token: &[u8],
    alert: Option<(u8, u8)>,
) -> Vec<u8> {
    let (alert_level, alert_description) = alert.unwrap_or_default();
    let reply = LegReply {
        head: ReplyHead::new(status),
        session,
        consumed: consumed.try_into().unwrap(),
        produced: token.len().try_into().unwrap(),
        missing: 0,
        state: state::HANDSHAKING,
        alert_level,
        alert_description,
        reserved: 0,
    };
    [reply.as_bytes(), token].concat()
}

fn record_reply(status: SecurityStatus, outcome: u32, consumed: usize, bytes: &[u8]) -> Vec<u8> {
    let reply = RecordReply {
        head: ReplyHead::new(status),
        outcome,
        consumed: consumed.try_into().unwrap(),
        produced: bytes.len().try_into().unwrap(),
        missing: 0,
    };
    [reply.as_bytes(), bytes].concat()
}

fn feed(
    connection: &mut ServerConnection,
    mut record: &[u8],
) -> Result<rustls::IoState, rustls::Error> {
    while !record.is_empty() {
        connection.read_tls(&mut record).unwrap();
    }
    connection.process_new_packets()
}

fn token(connection: &mut ServerConnection) -> Vec<u8> {
    let mut token = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut token).unwrap();
    }
    token
}

fn looks_like_tls(input: &[u8]) -> bool {
    input.first().is_none_or(|kind| (20..=23).contains(kind))
}

fn record_length(input: &[u8]) -> Option<usize> {
    let length = input.get(3..5)?;
    let whole = 5 + usize::from(u16::from_be_bytes([length[0], length[1]]));
    (looks_like_tls(input) && input.len() >= whole).then_some(whole)
}

fn names(mut alpn: &[u8]) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    while let [length, rest @ ..] = alpn {
        let (name, rest) = rest.split_at((*length).into());
        names.push(name.to_vec());
        alpn = rest;
    }
    names
}
