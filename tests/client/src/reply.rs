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

/// The reply to SEAL, UNSEAL and SHUTDOWN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What became of the last record. What came of those before it is in `bytes` all the same.
    pub outcome: RecordOutcome,
    /// The status of the last record, as the security subsystem gave it.
    pub status: SecurityStatus,
    /// Bytes of the input that are used up.
    pub consumed: usize,
    /// Records (SEAL, SHUTDOWN) or plaintext (UNSEAL).
    pub bytes: Vec<u8>,
    /// With [`RecordOutcome::Renegotiate`]: what must go to ACCEPT or CONNECT next.
    pub token: Vec<u8>,
    /// With [`RecordOutcome::NeedMore`]: about how many more bytes are wanted, 0 if unknown.
    pub missing: usize,
}

/// What became of the last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordOutcome {
    /// All of the input is used up.
    Data,
    /// The next record is not whole yet; nothing of it was consumed.
    NeedMore,
    /// A post-handshake message: the token must go to ACCEPT or CONNECT next.
    Renegotiate,
    /// The peer closed the session (`close_notify`).
    PeerClosed,
    /// It could not be made or processed; after SEAL and UNSEAL the session has failed.
    Failed,
}
