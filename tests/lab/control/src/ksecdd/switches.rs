//! How the stand-in behaves where the documents leave it open, and which open fact each switch
//! stands for.

use super::{
    CallbackThread, Completion, EmptyData, Extra, ExtraPointer, FailedOutput, Fault, Fragments,
    Latency, Missing, NoCertificate, NoProtocol, PostHandshake, Records, RequiresNotify,
    Revocation, SniCredential, TokenUse,
};
use serde::{Deserialize, Serialize};

/// How the stand-in behaves where the documents leave it open.
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches are independent of one another"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Switches {
    /// When and where asynchronous calls complete.
    pub completion: Completion,
    /// Threads that run asynchronous calls, like those of the security subsystem.
    pub workers: usize,
    /// How long a worker takes over a call before it does the work.
    pub latency: Latency,
    /// Which thread runs callbacks.
    pub callback_thread: CallbackThread,
    /// IRQL at which callbacks run: 0 PASSIVE, 1 APC, 2 DISPATCH.
    pub callback_irql: u8,
    /// Whether a callback may issue an asynchronous call; a STOP otherwise.
    pub issue_in_callback_allowed: bool,
    /// `SspiReinitAsyncContext` fails while the callback of the context has not returned.
    pub reinit_refused_in_callback: bool,
    /// `SspiReinitAsyncContext` always fails.
    pub reinit_refused: bool,
    /// When `SspiAsyncContextRequiresNotify` says TRUE.
    pub requires_notify: RequiresNotify,
    /// Whose token decides over the use of a private key.
    pub token: TokenUse,
    /// `SCH_MACHINE_CERT_HASH` in `SCH_CREDENTIALS.dwFlags` makes every certificate's store the
    /// machine's; it means nothing otherwise.
    pub machine_flag_applies: bool,
    /// What a credential for one name makes of a `ClientHello` for another.
    pub sni_credential: SniCredential,
    /// How much of its input one leg processes.
    pub records: Records,
    /// What becomes of a handshake message that is not complete with the records at hand.
    pub fragments: Fragments,
    /// When a leg with unprocessed input gives its token.
    pub extra: Extra,
    /// Whether an EXTRA buffer has a pointer.
    pub extra_pointer: ExtraPointer,
    /// What a MISSING buffer says.
    pub missing: Missing,
    /// The ALERT buffer is filled when a leg makes an alert; it stays as it is otherwise.
    pub alert_reported: bool,
    /// What a leg that fails without a token leaves in the output token's `cbBuffer`.
    pub failed_output: FailedOutput,
    /// Legs with less room for their token, in bytes, fail with `SEC_E_BUFFER_TOO_SMALL`, however
    /// short the token would be.
    pub least_room: usize,
    /// A first leg that ends in an error leaves a context that must be deleted.
    pub failure_makes_context: bool,
    /// A first leg that ends in `SEC_E_BUFFER_TOO_SMALL` leaves a context.
    pub too_small_makes_context: bool,
    /// The last accept of a TLS 1.3 handshake has session tickets in its token, if the caller asked
    /// for them; there are none otherwise.
    pub session_tickets: bool,
    /// `UnsealMessage` reports an EXTRA buffer with `SEC_I_RENEGOTIATE`.
    pub renegotiate_extra: bool,
    /// What a leg makes of a post-handshake message.
    pub post_handshake: PostHandshake,
    /// What `UnsealMessage` makes of a record without content.
    pub empty_data: EmptyData,
    /// `SealMessage` takes `SECQOP_WRAP_OOB_DATA` and makes an alert of it.
    pub out_of_band_alert: bool,
    /// What is said of the certificates of a peer that has shown none.
    pub no_certificate: NoCertificate,
    /// What is said of the application protocol when there is none.
    pub no_protocol: NoProtocol,
    /// `SECPKG_ATTR_CERT_CHECK_RESULT_INPROC` is supported.
    pub certificate_check_result: bool,
    /// What is known about revoked certificates. Part of a test's set-up.
    pub revocation: Revocation,
    /// [`super::Question::Release`] delivers lost callbacks. Part of a test's set-up.
    pub lost_callbacks_delivered: bool,
    /// Faults yet to come. Part of a test's set-up.
    pub faults: Vec<Fault>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            completion: Completion::default(),
            workers: 4,
            latency: Latency::default(),
            callback_thread: CallbackThread::default(),
            callback_irql: 0,
            issue_in_callback_allowed: false,
            reinit_refused_in_callback: false,
            reinit_refused: false,
            requires_notify: RequiresNotify::default(),
            token: TokenUse::default(),
            machine_flag_applies: false,
            sni_credential: SniCredential::default(),
            records: Records::default(),
            fragments: Fragments::default(),
            extra: Extra::default(),
            extra_pointer: ExtraPointer::default(),
            missing: Missing::default(),
            alert_reported: true,
            failed_output: FailedOutput::default(),
            least_room: 0,
            failure_makes_context: true,
            too_small_makes_context: false,
            session_tickets: true,
            renegotiate_extra: true,
            post_handshake: PostHandshake::default(),
            empty_data: EmptyData::default(),
            out_of_band_alert: true,
            no_certificate: NoCertificate::default(),
            no_protocol: NoProtocol::default(),
            certificate_check_result: true,
            revocation: Revocation::default(),
            lost_callbacks_delivered: false,
            faults: Vec::new(),
        }
    }
}

/// Fields of [`Switches`] that set a test up, and stand for no open fact.
pub const SET_UP: [&str; 3] = ["revocation", "lost_callbacks_delivered", "faults"];

/// Which open fact each switch stands for, and where that is open. Pages are of `MicrosoftDocs`:
/// those of the async functions in sdk-api, those "(Schannel)" in win32.
pub const FACTS: [(&str, &str); 30] = [
    (
        "completion",
        "a call that returns SEC_E_OK may already be complete (asynchronous contexts); whether it ever is, is open",
    ),
    (
        "workers",
        "how many calls the security subsystem works on at a time is open",
    ),
    (
        "latency",
        "how long the security subsystem takes is open; synchronous callers are known to block on it",
    ),
    (
        "callback_thread",
        "which thread runs a callback is open; only that it comes after the final status is documented (SspiFreeAsyncContext)",
    ),
    (
        "callback_irql",
        "no page gives an IRQL; the import list of a shipping user shows at most APC_LEVEL there",
    ),
    (
        "issue_in_callback_allowed",
        "whether the next call may be issued from a callback is open",
    ),
    (
        "reinit_refused_in_callback",
        "SspiReinitAsyncContext fails for a context in use; whether one is while its callback runs is open",
    ),
    (
        "reinit_refused",
        "no public user calls SspiReinitAsyncContext; its page lets it fail",
    ),
    (
        "requires_notify",
        "SspiAsyncContextRequiresNotify tells whether completion needs notification; for which states is open",
    ),
    (
        "token",
        "microsoft/msquic impersonates around each synchronous call (pull 1652); whether an asynchronous call takes the token at call time is open",
    ),
    (
        "machine_flag_applies",
        "microsoft/msquic sets SCH_MACHINE_CERT_HASH in SCH_CREDENTIALS.dwFlags too; what that does is open",
    ),
    (
        "sni_credential",
        "SCH_CRED_SNI_CREDENTIAL has no page; microsoft/msquic sets it with a principal (issue 1329)",
    ),
    (
        "records",
        "EXTRA may come back at any record (Extra Buffers Returned by Schannel)",
    ),
    (
        "fragments",
        "whether the first records of a longer message are consumed is open",
    ),
    (
        "extra",
        "EXTRA may come with SEC_I_CONTINUE_NEEDED and no output, and the call is to be repeated at once (Extra Buffers Returned by Schannel)",
    ),
    (
        "extra_pointer",
        "pvBuffer of EXTRA must not be used as data after a leg (Extra Buffers Returned by Schannel); whether it is there is open",
    ),
    (
        "missing",
        "MISSING is a hint that may be wrong or left out (Extra Buffers Returned by Schannel)",
    ),
    (
        "alert_reported",
        "whether an asynchronous call fills SECBUFFER_ALERT is open",
    ),
    (
        "failed_output",
        "what a failed call leaves in the output's cbBuffer is open",
    ),
    (
        "least_room",
        "when SEC_E_BUFFER_TOO_SMALL comes is open; microsoft/msquic repeats the call with twice the room",
    ),
    (
        "failure_makes_context",
        "a failed context must be deleted too (SspiDeleteSecurityContextAsync); whether a first call that failed made one is open",
    ),
    (
        "too_small_makes_context",
        "whether a first call that found too little room made a context is open",
    ),
    (
        "session_tickets",
        "that NewSessionTicket leaves with the last accept is inferred from a comment in microsoft/msquic",
    ),
    (
        "renegotiate_extra",
        "an EXTRA buffer is not always there with SEC_I_RENEGOTIATE (DecryptMessage (Schannel), November 2025)",
    ),
    (
        "post_handshake",
        "DecryptMessage (general) says that renegotiation is not supported in kernel mode, DecryptMessage (Schannel) no longer does",
    ),
    (
        "empty_data",
        "success without data is normal (DecryptMessage (Schannel)); how it looks is open",
    ),
    (
        "out_of_band_alert",
        "SECQOP_WRAP_OOB_DATA makes an alert (EncryptMessage (Schannel)); whether it does in kernel mode is open",
    ),
    (
        "no_certificate",
        "SEC_E_NO_CREDENTIALS or SEC_E_INTERNAL_ERROR (microsoft/msquic, pull 5739)",
    ),
    (
        "no_protocol",
        "whether the query fails when no application protocol was negotiated is open",
    ),
    (
        "certificate_check_result",
        "SECPKG_ATTR_CERT_CHECK_RESULT_INPROC is used by microsoft/msquic and has no page; not every Windows need have it",
    ),
];
