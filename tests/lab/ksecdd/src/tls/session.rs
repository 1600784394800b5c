//! What follows the handshake: sealing, unsealing and post-handshake messages.

use super::{
    engine::Facts,
    handshake::Connection,
    outcome::{Alert, Outcome, alert_of, status_of},
    protection::{Opened, Protection},
    record::{ALERT, APPLICATION_DATA, Front, HANDSHAKE, HEADER, MAX_PLAINTEXT, front},
};
use rustls::{
    Error, ProtocolVersion, client::ClientConnectionData, kernel::KernelConnection,
    server::ServerConnectionData,
};
use std::{mem, ops::Range};
use windows_sys::Win32::Foundation::{
    SEC_E_CONTEXT_EXPIRED, SEC_E_ILLEGAL_MESSAGE, SEC_E_INTERNAL_ERROR, SEC_E_MESSAGE_ALTERED,
    SEC_E_OK, SEC_E_OUT_OF_SEQUENCE, SEC_E_UNSUPPORTED_FUNCTION,
};

/// Handshake message types (RFC 8446, appendix B.3).
const HELLO_REQUEST: u8 = 0;
const CLIENT_HELLO: u8 = 1;
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

/// `no_renegotiation` (RFC 5246, section 7.2), a warning.
const NO_RENEGOTIATION: Alert = Alert {
    level: 1,
    description: 100,
};

/// One end of a connection after its handshake.
pub struct Session {
    /// What the handshake settled.
    pub facts: Facts,
    sending: Protection,
    receiving: Protection,
    secrets: Secrets,
    /// The record with a post-handshake message that the next leg must bring, as it was opened.
    awaited: Option<Awaited>,
    /// The front of a post-handshake message that goes on in a further record.
    partial: Vec<u8>,
    /// Set once nothing can be received any more.
    ended: Option<i32>,
}

/// Where new traffic secrets and tickets are handled.
enum Secrets {
    Server(KernelConnection<ServerConnectionData>),
    Client(KernelConnection<ClientConnectionData>),
}

struct Awaited {
    record: Vec<u8>,
    message: Range<usize>,
}

/// What a record turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Unsealed {
    /// Application data, at this place in the record.
    Data(Range<usize>),
    /// A post-handshake message: `SEC_I_RENEGOTIATE`. A leg must see the record as it is now.
    Renegotiate,
    /// The peer's `close_notify`: `SEC_I_CONTEXT_EXPIRED`.
    Closed,
    /// Nothing usable; nothing more can be received.
    Failed(i32),
}

impl Session {
    /// Takes over from rustls.
    pub fn new(facts: Facts, connection: Connection) -> Result<Self, Error> {
        let (secrets, kernel) = match connection {
            Connection::Server(server) => {
                let (secrets, kernel) = server.dangerous_into_kernel_connection()?;
                (secrets, Secrets::Server(kernel))
            }
            Connection::Client(client) => {
                let (secrets, kernel) = client.dangerous_into_kernel_connection()?;
                (secrets, Secrets::Client(kernel))
            }
        };
        Ok(Self {
            sending: Protection::new(facts.version, secrets.tx),
            receiving: Protection::new(facts.version, secrets.rx),
            facts,
            secrets: kernel,
            awaited: None,
            partial: Vec::new(),
            ended: None,
        })
    }

    /// Bytes a sealed record has in front of its content.
    pub fn header(&self) -> usize {
        self.sending.header()
    }

    /// Bytes a sealed record has behind its content.
    pub fn trailer(&self) -> usize {
        self.sending.trailer()
    }

    /// Seals one record in place: application data, or an alert.
    pub fn seal(&mut self, alert: bool, record: &mut [u8]) -> i32 {
        debug_assert!(record.len() <= self.header() + MAX_PLAINTEXT + self.trailer());
        // "every Encrypt/Decrypt fails until the message was passed on"
        // (DecryptMessage (Schannel), MicrosoftDocs/win32, November 2025)
        if self.awaited.is_some() {
            return SEC_E_CONTEXT_EXPIRED;
        }
        let content = if alert { ALERT } else { APPLICATION_DATA };
        self.sending
            .seal(content, record)
            .map_or(SEC_E_INTERNAL_ERROR, |()| SEC_E_OK)
    }

    /// Unseals one whole record in place.
    pub fn unseal(&mut self, record: &mut [u8]) -> Unsealed {
        if self.awaited.is_some() {
            return Unsealed::Failed(SEC_E_CONTEXT_EXPIRED);
        }
        if let Some(status) = self.ended {
            return Unsealed::Failed(status);
        }
        let unsealed = match self.receiving.open(record) {
            Err(_) => Unsealed::Failed(SEC_E_MESSAGE_ALTERED),
            // Nothing comes between the records of a message (RFC 8446, section 5.1).
            Ok(Opened { content, .. }) if content != HANDSHAKE && !self.partial.is_empty() => {
                Unsealed::Failed(SEC_E_ILLEGAL_MESSAGE)
            }
            Ok(Opened {
                content: APPLICATION_DATA,
                plaintext,
            }) => Unsealed::Data(plaintext),
            Ok(Opened {
                content: HANDSHAKE,
                plaintext,
            }) => {
                self.awaited = Some(Awaited {
                    record: record.to_vec(),
                    message: plaintext,
                });
                Unsealed::Renegotiate
            }
            Ok(Opened {
                content: ALERT,
                plaintext,
            }) => match record[plaintext] {
                [_, 0] => Unsealed::Closed,
                _ => Unsealed::Failed(SEC_E_ILLEGAL_MESSAGE),
            },
            Ok(_) => Unsealed::Failed(SEC_E_ILLEGAL_MESSAGE),
        };
        match unsealed {
            Unsealed::Closed => self.ended = Some(SEC_E_CONTEXT_EXPIRED),
            Unsealed::Failed(status) => self.ended = Some(status),
            Unsealed::Data(_) | Unsealed::Renegotiate => {}
        }
        unsealed
    }

    /// A leg after the handshake: `input` must begin with the record that [`Session::unseal`]
    /// called a post-handshake message, as it was left. `None` if it does not.
    pub fn leg(&mut self, input: &[u8]) -> Option<Outcome> {
        let Some(Awaited { record, message }) = self.awaited.take() else {
            return Some(Outcome::refused(SEC_E_OUT_OF_SEQUENCE));
        };
        if !input.starts_with(&record) {
            return None;
        }
        let mut token = Vec::new();
        let (status, alert) = match self.post_handshake(&record[message], &mut token) {
            Ok(alert) => (SEC_E_OK, alert),
            Err(error) => {
                let alert = Alert::fatal(alert_of(&error));
                self.send(ALERT, &[alert.level, alert.description], &mut token);
                self.ended = Some(status_of(&error));
                (status_of(&error), Some(alert))
            }
        };
        Some(Outcome {
            status,
            consumed: record.len(),
            missing: None,
            token,
            alert,
        })
    }

    /// The same where post-handshake messages are not supported: all use of the session is over.
    pub fn refused_leg(&mut self, input: &[u8]) -> Option<Outcome> {
        let status = match &self.awaited {
            None => SEC_E_OUT_OF_SEQUENCE,
            Some(awaited) if input.starts_with(&awaited.record) => SEC_E_UNSUPPORTED_FUNCTION,
            Some(_) => return None,
        };
        Some(Outcome::refused(status))
    }

    /// Handles the messages in a record; an alert is one that leaves the session alive.
    fn post_handshake(
        &mut self,
        fragment: &[u8],
        token: &mut Vec<u8>,
    ) -> Result<Option<Alert>, Error> {
        let mut bytes = mem::take(&mut self.partial);
        bytes.extend_from_slice(fragment);
        let mut rest = bytes.as_slice();
        let mut alert = None;
        while let Some((kind, body, after)) = message(rest) {
            if self.facts.version == ProtocolVersion::TLSv1_3 {
                self.handle(kind, body, after, token)?;
            } else {
                alert = Some(self.refuse(kind, token)?);
            }
            rest = after;
        }
        self.partial = rest.to_vec();
        Ok(alert)
    }

    /// TLS 1.2: the peer wants another handshake, or what it says is out of place.
    fn refuse(&mut self, kind: u8, token: &mut Vec<u8>) -> Result<Alert, Error> {
        match (kind, &self.secrets) {
            (CLIENT_HELLO, Secrets::Server(_)) | (HELLO_REQUEST, Secrets::Client(_)) => {
                let Alert { level, description } = NO_RENEGOTIATION;
                self.send(ALERT, &[level, description], token);
                Ok(NO_RENEGOTIATION)
            }
            _ => Err(out_of_place()),
        }
    }

    fn handle(
        &mut self,
        kind: u8,
        body: &[u8],
        after: &[u8],
        token: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match (kind, body, &mut self.secrets) {
            // Keys change at a record's end (RFC 8446, section 5.1), so nothing may follow.
            (KEY_UPDATE, &[requested @ (0 | 1)], _) if after.is_empty() => {
                let next = self.secrets.next_receiving()?;
                self.receiving = Protection::new(self.facts.version, next);
                if requested == 1 {
                    self.send(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0], token);
                    let next = self.secrets.next_sending()?;
                    self.sending = Protection::new(self.facts.version, next);
                }
                Ok(())
            }
            (NEW_SESSION_TICKET, body, Secrets::Client(client)) => {
                client.handle_new_session_ticket(body)
            }
            _ => Err(out_of_place()),
        }
    }

    /// Appends a record of our own to `token`.
    fn send(&mut self, content: u8, bytes: &[u8], token: &mut Vec<u8>) {
        let mut record = vec![0; self.sending.header()];
        record.extend_from_slice(bytes);
        record.resize(record.len() + self.sending.trailer(), 0);
        if self.sending.seal(content, &mut record).is_ok() {
            debug_assert_eq!(front(&record), Front::Record(record.len()));
            debug_assert!(record.len() > HEADER);
            token.append(&mut record);
        }
    }
}

impl Secrets {
    fn next_receiving(&mut self) -> Result<(u64, rustls::ConnectionTrafficSecrets), Error> {
        match self {
            Self::Server(server) => server.update_rx_secret(),
            Self::Client(client) => client.update_rx_secret(),
        }
    }

    fn next_sending(&mut self) -> Result<(u64, rustls::ConnectionTrafficSecrets), Error> {
        match self {
            Self::Server(server) => server.update_tx_secret(),
            Self::Client(client) => client.update_tx_secret(),
        }
    }
}

fn out_of_place() -> Error {
    Error::InappropriateMessage {
        expect_types: vec![rustls::ContentType::ApplicationData],
        got_type: rustls::ContentType::Handshake,
    }
}

/// Splits off the first handshake message: type, body, what follows.
fn message(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, a, b, c], rest) = bytes.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    let (body, after) = rest.split_at_checked(length)?;
    Some((kind, body, after))
}
