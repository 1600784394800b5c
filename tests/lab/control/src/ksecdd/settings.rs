//! The settings that single switches have.

use serde::{Deserialize, Serialize};

/// When and where an asynchronous call completes. A call that was accepted may already be
/// complete when it returns (asynchronous contexts, MicrosoftDocs/win32), so all are allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Completion {
    /// The callback runs on the calling thread before the call returns.
    Inline,
    /// The callback runs on another thread, and the call returns after it.
    Early,
    /// The callback runs on another thread, and the call does not wait for it.
    #[default]
    Late,
    /// The call waits for [`super::Question::Release`], then goes on as if `Late`.
    Held,
    /// Each call `Inline`, `Early` or `Late`, drawn by a generator with this seed.
    Mixed(u64),
}

/// Which thread runs the callback of a call that does not complete `Inline`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallbackThread {
    /// The one that did the work.
    #[default]
    Same,
    /// Another one: between the final status and the callback anything may happen.
    Other,
}

/// How long a worker takes over a call before it does the work, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Latency {
    /// Always so long.
    Fixed(u64),
    /// Anything between, with equal probability.
    Uniform {
        /// Shortest.
        least: u64,
        /// Longest.
        most: u64,
        /// Of the generator.
        seed: u64,
    },
    /// Exponentially distributed.
    Exponential {
        /// The mean.
        mean: u64,
        /// Of the generator.
        seed: u64,
    },
    /// Pareto-distributed with exponent 1.2: most calls are short, few are very long.
    HeavyTail {
        /// Shortest.
        least: u64,
        /// Longest.
        most: u64,
        /// Of the generator.
        seed: u64,
    },
}

impl Default for Latency {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

/// Whose token decides over the use of a private key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenUse {
    /// The calling thread's. A leg under another than the acquiring one is a STOP.
    #[default]
    Stopped,
    /// The calling thread's. A leg under another completes with `SEC_E_NO_CREDENTIALS`.
    Refused,
    /// The worker's, whoever calls: the key must be one that SYSTEM may use, and legs are not checked.
    InWorker,
    /// The calling thread's when a credential is acquired; legs are not checked.
    Ignored,
}

/// How much of its input one leg processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Records {
    /// Every whole record there is.
    #[default]
    All,
    /// One record; the rest comes back as EXTRA.
    One,
}

/// What becomes of a handshake message that is not complete with the records at hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fragments {
    /// Nothing of it is consumed: `SEC_E_INCOMPLETE_MESSAGE`.
    #[default]
    Kept,
    /// Its records are consumed: `SEC_I_CONTINUE_NEEDED` without a token.
    Consumed,
}

/// When a handshake leg with unprocessed input gives its token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extra {
    /// Together with EXTRA.
    #[default]
    AtOnce,
    /// EXTRA comes first, with `SEC_I_CONTINUE_NEEDED` and no output; the token and the true status
    /// come when the rest is passed, all of which is EXTRA then.
    Late,
}

/// Whether an EXTRA buffer has a pointer to the bytes it is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExtraPointer {
    /// As the pages have it: not from a leg, but from `UnsealMessage`.
    #[default]
    Documented,
    /// Always.
    Given,
    /// Never.
    Absent,
}

/// What a MISSING buffer says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Missing {
    /// How many bytes are missing of the record, or of its header.
    #[default]
    Exact,
    /// One byte.
    TooSmall,
    /// 4,096 bytes more than are missing.
    TooLarge,
    /// There is none.
    Absent,
}

/// What a leg that fails without a token leaves in the output token's `cbBuffer`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailedOutput {
    /// 0.
    #[default]
    Zeroed,
    /// The room that was given.
    AsGiven,
}

/// What `UnsealMessage` makes of a record without content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EmptyData {
    /// A DATA buffer of length 0.
    #[default]
    Reported,
    /// No DATA buffer.
    LeftOut,
}

/// What `SECPKG_ATTR_REMOTE_CERTIFICATES` says when the peer has shown no certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoCertificate {
    /// `SEC_E_NO_CREDENTIALS`.
    #[default]
    NoCredentials,
    /// `SEC_E_INTERNAL_ERROR`.
    InternalError,
}

/// What `SECPKG_ATTR_APPLICATION_PROTOCOL` says when none was negotiated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoProtocol {
    /// `SEC_E_OK` and `SecApplicationProtocolNegotiationStatus_None`.
    #[default]
    Told,
    /// `SEC_E_UNSUPPORTED_FUNCTION`.
    Refused,
}

/// What a leg makes of a post-handshake message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PostHandshake {
    /// It is processed.
    #[default]
    PassedOn,
    /// `SEC_E_UNSUPPORTED_FUNCTION`; the connection is over.
    Unsupported,
}

/// When `SspiAsyncContextRequiresNotify` says TRUE.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequiresNotify {
    /// While a call that was accepted owes a callback.
    #[default]
    Owed,
    /// Whenever a callback is set.
    WhenSet,
}

/// What a credential with `SCH_CRED_SNI_CREDENTIAL` makes of a `ClientHello` for another name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SniCredential {
    /// It serves the name it is for.
    #[default]
    AnyName,
    /// It refuses: `SEC_E_WRONG_PRINCIPAL`.
    ItsNameOnly,
}

/// What is known about revoked certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// SHA-1 of the revoked ones, in hexadecimal of either case.
    pub revoked: Vec<String>,
    /// Of all others.
    pub information: RevocationInformation,
}

/// What is known about a certificate that is not on the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RevocationInformation {
    /// It is not revoked.
    #[default]
    Good,
    /// Its issuer gives no such information: `CRYPT_E_NO_REVOCATION_CHECK`.
    None,
    /// The information cannot be had now: `CRYPT_E_REVOCATION_OFFLINE`.
    Offline,
}
