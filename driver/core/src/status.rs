//! The one table from `SECURITY_STATUS` to what it means for a leg or a record.

use tlsgate_protocol::SecurityStatus;

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

/// The meaning of a handshake function's status. What nobody documented is fatal, informational
/// codes included: to go on without knowing what Schannel wants helps no one.
#[must_use]
pub fn of_leg(status: SecurityStatus) -> Meaning {
    match status {
        SecurityStatus::SEC_E_OK => Meaning::Done,
        SecurityStatus::SEC_I_CONTINUE_NEEDED
        | SecurityStatus::SEC_I_CONTINUE_NEEDED_MESSAGE_OK => Meaning::Continue,
        SecurityStatus::SEC_E_INCOMPLETE_MESSAGE => Meaning::Incomplete,
        SecurityStatus::SEC_E_BUFFER_TOO_SMALL => Meaning::Grow,
        _ => Meaning::Fatal,
    }
}

/// The meaning of `UnsealMessage`'s status (`DecryptMessage (Schannel)` in the documentation).
#[must_use]
pub fn of_record(status: SecurityStatus) -> RecordMeaning {
    match status {
        SecurityStatus::SEC_E_OK => RecordMeaning::Data,
        SecurityStatus::SEC_E_INCOMPLETE_MESSAGE => RecordMeaning::Incomplete,
        SecurityStatus::SEC_I_RENEGOTIATE => RecordMeaning::Renegotiate,
        SecurityStatus::SEC_I_CONTEXT_EXPIRED => RecordMeaning::Closed,
        _ => RecordMeaning::Fatal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_status_has_a_meaning_and_no_error_is_success() {
        for (name, status) in SecurityStatus::NAMED {
            let meaning = of_leg(*status);
            let harmless = matches!(
                *status,
                SecurityStatus::SEC_E_INCOMPLETE_MESSAGE | SecurityStatus::SEC_E_BUFFER_TOO_SMALL
            );
            if status.is_error() && !harmless {
                assert_eq!(meaning, Meaning::Fatal, "{name}");
                assert_eq!(of_record(*status), RecordMeaning::Fatal, "{name}");
            }
        }
        assert_eq!(of_leg(SecurityStatus(0x0009_9999)), Meaning::Fatal);
    }
}
