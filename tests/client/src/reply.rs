//! What the driver says to a program.

use tlsgate_protocol::{SecurityStatus, SessionId};

/// The reply to a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The outcome, as the security subsystem gave it.
    pub status: SecurityStatus,
    /// The session, once there is one.
    pub session: Option<SessionId>,
    /// Bytes of the input that are used up.
    pub consumed: usize,
    /// What to send to the peer, whatever `status` is.
    pub token: Vec<u8>,
    /// With `SEC_E_INCOMPLETE_MESSAGE`: about how many more bytes are wanted, 0 if unknown.
    pub missing: usize,
    /// State of the session, of [`tlsgate_protocol::payload::state`].
    pub state: u8,
    /// Level and description of the alert, if any.
    pub alert: Option<(u8, u8)>,
}

/// The reply to SEAL and UNSEAL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What the bytes are.
    pub outcome: RecordOutcome,
    /// The outcome as the security subsystem gave it.
    pub status: SecurityStatus,
    /// Bytes of the input that are used up.
    pub consumed: usize,
    /// A record, plaintext, or bytes for ACCEPT.
    pub bytes: Vec<u8>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordOutcome {
    /// `bytes` holds a record (SEAL) or plaintext (UNSEAL, possibly none).
    Data,
    /// The record is not whole yet; nothing was consumed.
    NeedMore,
    /// A post-handshake message: `bytes` must go to ACCEPT next.
    Renegotiate,
    /// The peer closed the session (`close_notify`).
    PeerClosed,
    /// The record could not be processed; the session has failed.
    Failed,
}
