//! What the numbers in payloads mean: roles, masks, states and outcomes.

/// [`AcquireRequest::role`](crate::payload::AcquireRequest::role).
pub mod role {
    /// The credential of a server.
    pub const SERVER: u32 = 1;
    /// The credential of a client.
    pub const CLIENT: u32 = 2;
}

/// [`AcquireRequest::flags`](crate::payload::AcquireRequest::flags), a mask.
pub mod credential {
    /// The server's certificate is not checked; QUERY_SESSION tells what it is, and the caller judges.
    /// Clients only.
    pub const MANUAL_CHECK: u32 = 1;
    /// Revocation of the peer's own certificate is checked. One of the three, not with
    /// [`MANUAL_CHECK`].
    pub const REVOCATION_END: u32 = 2;
    /// Revocation of the whole chain is checked.
    pub const REVOCATION_CHAIN: u32 = 4;
    /// Revocation of the chain but its root is checked.
    pub const REVOCATION_CHAIN_EXCEPT_ROOT: u32 = 8;
    /// With one of the three: a certificate that names no revocation information is good.
    pub const IGNORE_NO_REVOCATION: u32 = 0x10;
    /// With one of the three: revocation information that cannot be reached is ignored.
    pub const IGNORE_REVOCATION_OFFLINE: u32 = 0x20;
    /// Sessions are not resumed, and no tickets are given out.
    pub const NO_RESUMPTION: u32 = 0x40;
    /// A server asks its clients for a certificate.
    pub const REQUEST_CLIENT_CERTIFICATE: u32 = 0x80;
    /// The three kinds of revocation check.
    pub const REVOCATION: u32 = REVOCATION_END | REVOCATION_CHAIN | REVOCATION_CHAIN_EXCEPT_ROOT;
    /// Every bit with a meaning.
    pub const ALL: u32 = 0xFF;
}

/// [`SessionReply::flags`](crate::payload::SessionReply::flags), a mask.
pub mod session_flags {
    /// The session was resumed: no certificate was sent in this handshake.
    pub const RESUMED: u32 = 1;
    /// `chain_errors` and `check_result` mean something.
    pub const CHECKED: u32 = 2;
}

/// [`VersionReply::switched_off`](crate::payload::VersionReply::switched_off), a mask: a kill switch for each function.
pub mod functions {
    /// ACQUIRE_CREDENTIAL.
    pub const ACQUIRE: u32 = 1;
    /// ACCEPT.
    pub const ACCEPT: u32 = 2;
    /// CONNECT.
    pub const CONNECT: u32 = 4;
    /// SEAL and UNSEAL.
    pub const RECORDS: u32 = 8;
    /// SHUTDOWN.
    pub const SHUTDOWN: u32 = 0x10;
    /// QUERY_SESSION.
    pub const QUERY: u32 = 0x20;
}

/// [`AcquireRequest::protocols`](crate::payload::AcquireRequest::protocols), a mask.
pub mod protocols {
    /// TLS 1.2.
    pub const TLS1_2: u32 = 1;
    /// TLS 1.3.
    pub const TLS1_3: u32 = 2;
    /// Every bit with a meaning.
    pub const ALL: u32 = TLS1_2 | TLS1_3;
}

/// [`CertificateReference::store_scope`](crate::payload::CertificateReference::store_scope).
pub mod store_scope {
    /// A store of the machine.
    pub const MACHINE: u32 = 1;
    /// A store of the user whose token acquires the credential.
    pub const USER: u32 = 2;
}

/// [`LegReply::state`](crate::payload::LegReply::state) and [`SessionReply::state`](crate::payload::SessionReply::state).
pub mod state {
    /// No session exists yet.
    pub const NONE: u8 = 0;
    /// More legs are needed.
    pub const HANDSHAKING: u8 = 1;
    /// The handshake is complete; SEAL and UNSEAL work.
    pub const ESTABLISHED: u8 = 2;
    /// The session is of no more use; close it.
    pub const FAILED: u8 = 3;
}

/// [`RecordReply::outcome`](crate::payload::RecordReply::outcome).
pub mod outcome {
    /// `produced` bytes follow: records (SEAL, SHUTDOWN) or plaintext (UNSEAL, possibly none). All of
    /// the input is used up.
    pub const DATA: u32 = 1;
    /// The next record is not whole yet; nothing of it was consumed.
    pub const NEED_MORE: u32 = 2;
    /// A post-handshake message: the `token` bytes must go to ACCEPT or CONNECT next. From SEAL and
    /// SHUTDOWN, without a token: UNSEAL has met such a message meanwhile, and nothing is sealed before
    /// that leg; what was not consumed is to be sent again after it.
    pub const RENEGOTIATE: u32 = 3;
    /// The peer closed the session (close_notify).
    pub const PEER_CLOSED: u32 = 4;
    /// The record could not be made or processed. QUERY_SESSION tells whether the session has failed.
    pub const FAILED: u32 = 5;
}

/// [`VersionReply::optional_exports`](crate::payload::VersionReply::optional_exports), a mask.
pub mod exports {
    /// `SspiAsyncContextRequiresNotify`.
    pub const REQUIRES_NOTIFY: u32 = 1;
}
