//! The one table from `SECURITY_STATUS` to what it means for a leg or a record, and to what becomes of
//! the session and of the request.

use crate::session::Phase;
use tlsgate_protocol::{NtStatus, SecurityStatus};

/// What a status of the handshake function means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The handshake (or the post-handshake message) is complete.
    Done,
    /// The peer's answer is wanted.
    Continue,
    /// The input ends inside a record; nothing was consumed.
    Incomplete,
    /// The output buffer was too small; nothing has happened.
    Grow,
    /// The session is of no more use.
    Fatal,
}

/// What a status of `UnsealMessage` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordMeaning {
    /// Data, possibly none.
    Data,
    /// The input ends inside the record; nothing was consumed.
    Incomplete,
    /// A post-handshake message that the handshake function must see.
    Renegotiate,
    /// The peer has closed the session.
    Closed,
    /// The session is of no more use.
    Fatal,
}

/// What follows from a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The status.
    pub status: SecurityStatus,
    /// For a leg.
    pub leg: Meaning,
    /// What the session becomes by a leg; `None` leaves it. A leg that has grown its output as far as
    /// may be fails it all the same.
    pub leg_becomes: Option<Phase>,
    /// For UNSEAL.
    pub record: RecordMeaning,
    /// What the session becomes by UNSEAL; `None` leaves it.
    pub record_becomes: Option<Phase>,
    /// What the request is completed with; the status itself is in the reply.
    pub reply: NtStatus,
}

/// Every status with a name, by the documentation of `AcceptSecurityContext (Schannel)`,
/// `InitializeSecurityContext (Schannel)` and `DecryptMessage (Schannel)`.
pub const TABLE: &[Row] = &[
    row(SecurityStatus::SEC_E_OK, Meaning::Done, RecordMeaning::Data),
    row(
        SecurityStatus::SEC_I_CONTINUE_NEEDED,
        Meaning::Continue,
        RecordMeaning::Fatal,
    ),
    fatal(SecurityStatus::SEC_I_COMPLETE_NEEDED),
    fatal(SecurityStatus::SEC_I_COMPLETE_AND_CONTINUE),
    row(
        SecurityStatus::SEC_I_CONTEXT_EXPIRED,
        Meaning::Fatal,
        RecordMeaning::Closed,
    ),
    fatal(SecurityStatus::SEC_I_INCOMPLETE_CREDENTIALS),
    row(
        SecurityStatus::SEC_I_RENEGOTIATE,
        Meaning::Fatal,
        RecordMeaning::Renegotiate,
    ),
    fatal(SecurityStatus::SEC_I_MESSAGE_FRAGMENT),
    row(
        SecurityStatus::SEC_I_CONTINUE_NEEDED_MESSAGE_OK,
        Meaning::Continue,
        RecordMeaning::Fatal,
    ),
    fatal(SecurityStatus::SEC_I_ASYNC_CALL_PENDING),
    fatal(SecurityStatus::SEC_E_INSUFFICIENT_MEMORY),
    fatal(SecurityStatus::SEC_E_INVALID_HANDLE),
    fatal(SecurityStatus::SEC_E_UNSUPPORTED_FUNCTION),
    fatal(SecurityStatus::SEC_E_INTERNAL_ERROR),
    fatal(SecurityStatus::SEC_E_SECPKG_NOT_FOUND),
    fatal(SecurityStatus::SEC_E_INVALID_TOKEN),
    fatal(SecurityStatus::SEC_E_LOGON_DENIED),
    fatal(SecurityStatus::SEC_E_UNKNOWN_CREDENTIALS),
    fatal(SecurityStatus::SEC_E_NO_CREDENTIALS),
    fatal(SecurityStatus::SEC_E_MESSAGE_ALTERED),
    fatal(SecurityStatus::SEC_E_OUT_OF_SEQUENCE),
    fatal(SecurityStatus::SEC_E_NO_AUTHENTICATING_AUTHORITY),
    fatal(SecurityStatus::SEC_E_CONTEXT_EXPIRED),
    row(
        SecurityStatus::SEC_E_INCOMPLETE_MESSAGE,
        Meaning::Incomplete,
        RecordMeaning::Incomplete,
    ),
    row(
        SecurityStatus::SEC_E_BUFFER_TOO_SMALL,
        Meaning::Grow,
        RecordMeaning::Fatal,
    ),
    fatal(SecurityStatus::SEC_E_WRONG_PRINCIPAL),
    fatal(SecurityStatus::SEC_E_UNTRUSTED_ROOT),
    fatal(SecurityStatus::SEC_E_ILLEGAL_MESSAGE),
    fatal(SecurityStatus::SEC_E_CERT_UNKNOWN),
    fatal(SecurityStatus::SEC_E_CERT_EXPIRED),
    fatal(SecurityStatus::SEC_E_DECRYPT_FAILURE),
    fatal(SecurityStatus::SEC_E_ALGORITHM_MISMATCH),
    fatal(SecurityStatus::SEC_E_APPLICATION_PROTOCOL_MISMATCH),
    fatal(SecurityStatus::SEC_E_EXT_BUFFER_TOO_SMALL),
    fatal(SecurityStatus::SEC_E_INSUFFICIENT_BUFFERS),
    fatal(SecurityStatus::SEC_E_INVALID_PARAMETER),
    fatal(SecurityStatus::SEC_E_DOWNGRADE_DETECTED),
    fatal(SecurityStatus::SEC_E_NO_IMPERSONATION),
    fatal(SecurityStatus::CRYPT_E_REVOKED),
    fatal(SecurityStatus::CRYPT_E_NO_REVOCATION_CHECK),
    fatal(SecurityStatus::CRYPT_E_REVOCATION_OFFLINE),
    fatal(SecurityStatus::CERT_E_EXPIRED),
    fatal(SecurityStatus::CERT_E_UNTRUSTEDROOT),
    fatal(SecurityStatus::CERT_E_CHAINING),
    fatal(SecurityStatus::CERT_E_CN_NO_MATCH),
    fatal(SecurityStatus::CERT_E_WRONG_USAGE),
];

/// What nobody documented is fatal, informational codes included: to go on without knowing what
/// Schannel wants helps no one.
#[must_use]
pub fn row_of(status: SecurityStatus) -> Row {
    let known = TABLE.iter().find(|row| row.status == status);
    known.copied().unwrap_or(fatal(status))
}

/// The meaning of a handshake function's status.
#[must_use]
pub fn of_leg(status: SecurityStatus) -> Meaning {
    row_of(status).leg
}

/// The meaning of `UnsealMessage`'s status.
#[must_use]
pub fn of_record(status: SecurityStatus) -> RecordMeaning {
    row_of(status).record
}

const fn fatal(status: SecurityStatus) -> Row {
    row(status, Meaning::Fatal, RecordMeaning::Fatal)
}

const fn row(status: SecurityStatus, leg: Meaning, record: RecordMeaning) -> Row {
    Row {
        status,
        leg,
        leg_becomes: match leg {
            Meaning::Done => Some(Phase::Established),
            Meaning::Fatal => Some(Phase::Failed),
            Meaning::Continue | Meaning::Incomplete | Meaning::Grow => None,
        },
        record,
        record_becomes: match record {
            RecordMeaning::Fatal => Some(Phase::Failed),
            _ => None,
        },
        // Outcomes of TLS are data.
        reply: NtStatus::STATUS_SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_named_status_has_one_row() {
        let rows: HashSet<_> = TABLE.iter().map(|row| row.status).collect();
        assert_eq!(rows.len(), TABLE.len());
        for (name, status) in SecurityStatus::NAMED {
            assert!(rows.contains(status), "{name} has no row");
        }
        assert_eq!(TABLE.len(), SecurityStatus::NAMED.len());
    }

    #[test]
    fn no_error_is_success_and_what_is_unknown_is_fatal() {
        let unknown = [0x0009_9999, -1, i32::MIN, 1].map(|value| row_of(SecurityStatus(value)));
        for row in TABLE.iter().chain(&unknown) {
            let harmless = matches!(
                row.status,
                SecurityStatus::SEC_E_INCOMPLETE_MESSAGE | SecurityStatus::SEC_E_BUFFER_TOO_SMALL
            );
            if row.status.name().is_none() || (row.status.is_error() && !harmless) {
                assert_eq!(row.leg_becomes, Some(Phase::Failed), "{row:?}");
                assert_eq!(row.record_becomes, Some(Phase::Failed), "{row:?}");
            }
            assert!(row.reply.is_success(), "{row:?}");
        }
    }

    #[test]
    fn only_success_establishes_a_session() {
        for row in TABLE {
            let success = row.status == SecurityStatus::SEC_E_OK;
            assert_eq!(
                row.leg_becomes == Some(Phase::Established),
                success,
                "{row:?}"
            );
            assert_ne!(row.record_becomes, Some(Phase::Established), "{row:?}");
            assert_eq!(row.record == RecordMeaning::Data, success, "{row:?}");
        }
    }
}
