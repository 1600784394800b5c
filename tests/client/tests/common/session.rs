//! One session of the fake driver: rustls, record by record.

use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use std::{
    io::{Read, Write},
    sync::Arc,
};
use tlsgate::protocol::{
    New, SecurityStatus,
    payload::{
        LegReply, RecordReply, ReplyHead, SessionReply, outcome, role, session_flags, state,
    },
};
use zerocopy::{FromZeros, IntoBytes};

/// What the fake says in place of a post-handshake message.
pub const POST_HANDSHAKE: &[u8] = b"key update";

/// What sessions are made from.
pub struct Configs {
    pub server: ServerConfig,
    pub client: ClientConfig,
}

/// Whose credential it is, by its number.
pub const fn is_client(credential: u64) -> bool {
    credential.is_multiple_of(2)
}

/// A session.
pub struct Session {
    id: u64,
    tls: Connection,
    /// A leg is due: nothing else may be done.
    awaits_leg: bool,
}

impl Session {
    pub fn new(id: u64, new: &New<'_>, configs: &Configs) -> Self {
        let tls = if is_client(new.credential.get()) {
            let mut config = configs.client.clone();
            config.alpn_protocols = names(new.alpn);
            let name = std::str::from_utf8(new.server_name).unwrap().to_owned();
            let name = name.try_into().unwrap();
            ClientConnection::new(Arc::new(config), name)
                .unwrap()
                .into()
        } else {
            let mut config = configs.server.clone();
            config.alpn_protocols = names(new.alpn);
            ServerConnection::new(Arc::new(config)).unwrap().into()
        };
        Self {
            id,
            tls,
            awaits_leg: false,
        }
    }

    /// Whose side it is on.
    pub const fn is_client(&self) -> bool {
        matches!(self.tls, Connection::Client(_))
    }

    /// The leg that was due, with what UNSEAL gave and only that.
    pub fn due_leg(&mut self, input: &[u8]) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.awaits_leg) {
            return None;
        }
        assert_eq!(input, POST_HANDSHAKE, "a leg gets what UNSEAL gave");
        // As the answer to a KeyUpdate that asks for one.
        if self.tls.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3) {
            self.tls.refresh_traffic_keys().unwrap();
        }
        let answer = token(&mut self.tls);
        Some(leg(
            SecurityStatus::SEC_E_OK,
            state::ESTABLISHED,
            self.id,
            input.len(),
            &answer,
        ))
    }

    /// A leg of the handshake.
    pub fn leg(&mut self, input: &[u8]) -> Vec<u8> {
        let mut consumed = 0;
        while self.tls.is_handshaking() {
            let rest = &input[consumed..];
            let length = match record_length(rest) {
                Some(length) => length,
                None if looks_like_tls(rest) => break,
                None => rest.len(),
            };
            if let Err(error) = feed(&mut self.tls, &rest[..length]) {
                let status = match error {
                    rustls::Error::NoApplicationProtocol => {
                        SecurityStatus::SEC_E_APPLICATION_PROTOCOL_MISMATCH
                    }
                    rustls::Error::InvalidCertificate(_) => SecurityStatus::SEC_E_UNTRUSTED_ROOT,
                    _ => SecurityStatus::SEC_E_ILLEGAL_MESSAGE,
                };
                let token = token(&mut self.tls);
                return leg(status, state::FAILED, self.id, input.len(), &token);
            }
            consumed += length;
        }
        let (status, state) = if self.tls.is_handshaking() {
            (SecurityStatus::SEC_I_CONTINUE_NEEDED, state::HANDSHAKING)
        } else {
            (SecurityStatus::SEC_E_OK, state::ESTABLISHED)
        };
        let token = token(&mut self.tls);
        leg(status, state, self.id, consumed, &token)
    }

    pub fn seal(&mut self, plaintext: &[u8]) -> Vec<u8> {
        assert!(!self.awaits_leg, "after RENEGOTIATE comes a leg");
        self.tls.set_buffer_limit(None);
        self.tls.writer().write_all(plaintext).unwrap();
        let records = token(&mut self.tls);
        record_reply(
            SecurityStatus::SEC_E_OK,
            outcome::DATA,
            plaintext.len(),
            &records,
            b"",
        )
    }

    pub fn shut_down(&mut self) -> Vec<u8> {
        self.tls.send_close_notify();
        let record = token(&mut self.tls);
        record_reply(SecurityStatus::SEC_E_OK, outcome::DATA, 2, &record, b"")
    }

    /// Opens record after record; `meets` tells whether a post-handshake message is behind the first.
    pub fn unseal(&mut self, records: &[u8], meets: bool) -> Vec<u8> {
        assert!(!self.awaits_leg, "after RENEGOTIATE comes a leg");
        let (mut consumed, mut data) = (0, Vec::new());
        let (status, outcome) = loop {
            let rest = &records[consumed..];
            if rest.is_empty() {
                break (SecurityStatus::SEC_E_OK, outcome::DATA);
            }
            let Some(length) = record_length(rest) else {
                break (SecurityStatus::SEC_E_INCOMPLETE_MESSAGE, outcome::NEED_MORE);
            };
            consumed += length;
            let Ok(io) = feed(&mut self.tls, &rest[..length]) else {
                break (SecurityStatus::SEC_E_DECRYPT_FAILURE, outcome::FAILED);
            };
            let count = io.plaintext_bytes_to_read();
            let start = data.len();
            data.resize(start + count, 0);
            self.tls.reader().read_exact(&mut data[start..]).unwrap();
            if io.peer_has_closed() {
                break (SecurityStatus::SEC_I_CONTEXT_EXPIRED, outcome::PEER_CLOSED);
            }
            if meets {
                self.awaits_leg = true;
                break (SecurityStatus::SEC_I_RENEGOTIATE, outcome::RENEGOTIATE);
            }
        };
        let token: &[u8] = if self.awaits_leg { POST_HANDSHAKE } else { b"" };
        record_reply(status, outcome, consumed, &data, token)
    }

    /// The reply to QUERY_SESSION in so much room.
    pub fn query(&self, room: usize) -> Vec<u8> {
        let name = self.tls.alpn_protocol().unwrap_or_default();
        let mut reply = SessionReply::new_zeroed();
        reply.head = ReplyHead::new(SecurityStatus::SEC_E_OK);
        reply.session = self.id;
        reply.state = state::ESTABLISHED.into();
        reply.role = match self.tls {
            Connection::Server(_) => role::SERVER,
            Connection::Client(_) => role::CLIENT,
        };
        reply.protocol = u16::from(self.tls.protocol_version().unwrap()).into();
        reply.cipher_suite = u16::from(self.tls.negotiated_cipher_suite().unwrap().suite()).into();
        (reply.header, reply.trailer, reply.maximum_message) = (5, 17, 16_384);
        reply.alpn_length = name.len().try_into().unwrap();
        reply.alpn[..name.len()].copy_from_slice(name);
        if self.tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed) {
            reply.flags |= session_flags::RESUMED;
        }
        let mut behind = Vec::new();
        for certificate in self.tls.peer_certificates().unwrap_or_default() {
            reply.flags |= session_flags::CHECKED;
            reply.certificate_count += 1;
            let length = u32::try_from(certificate.len()).unwrap();
            behind.extend(length.to_le_bytes());
            behind.extend_from_slice(certificate);
        }
        reply.certificates_length = behind.len().try_into().unwrap();
        if size_of_val(&reply) + behind.len() > room {
            behind.clear();
        }
        [reply.as_bytes(), &behind].concat()
    }
}

pub fn leg(
    status: SecurityStatus,
    state: u8,
    session: u64,
    consumed: usize,
    token: &[u8],
) -> Vec<u8> {
    let alert = if state == state::FAILED {
        (2, 0)
    } else {
        (0, 0)
    };
    let reply = LegReply {
        head: ReplyHead::new(status),
        session,
        consumed: consumed.try_into().unwrap(),
        produced: token.len().try_into().unwrap(),
        missing: 0,
        state,
        alert_level: alert.0,
        alert_description: alert.1,
        reserved: 0,
    };
    [reply.as_bytes(), token].concat()
}

fn record_reply(
    status: SecurityStatus,
    outcome: u32,
    consumed: usize,
    bytes: &[u8],
    token: &[u8],
) -> Vec<u8> {
    let reply = RecordReply {
        head: ReplyHead::new(status),
        outcome,
        consumed: consumed.try_into().unwrap(),
        produced: bytes.len().try_into().unwrap(),
        token: token.len().try_into().unwrap(),
        missing: 0,
        reserved: 0,
    };
    [reply.as_bytes(), bytes, token].concat()
}

fn feed(tls: &mut Connection, mut record: &[u8]) -> Result<rustls::IoState, rustls::Error> {
    while !record.is_empty() {
        tls.read_tls(&mut record).unwrap();
    }
    tls.process_new_packets()
}

fn token(tls: &mut Connection) -> Vec<u8> {
    let mut token = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut token).unwrap();
    }
    token
}

pub fn looks_like_tls(input: &[u8]) -> bool {
    input.first().is_none_or(|kind| (20..=23).contains(kind))
}

pub fn record_length(input: &[u8]) -> Option<usize> {
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
