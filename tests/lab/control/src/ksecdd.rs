//! What can be asked of the kernel SSPI stand-in, `ksecdd.sys`.
//!
//! Whatever the public documents leave open about the real `ksecdd.sys` is a field of [`Switches`]
//! with at least two settings, so that no test can pass by agreeing with a guess.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name under which the stand-in serves and leaves its port.
pub const MODULE: &str = "ksecdd";

/// A question to the stand-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// What is alive, pending and counted: answered by [`Answer::State`].
    State,
    /// How it behaves: answered by [`Answer::Switches`].
    Switches,
    /// Behave so from now on. Answered by [`Answer::Switches`] with the switches as they were.
    Set(Switches),
    /// Let held calls run, oldest first: all of them, or so many. Answered by
    /// [`Answer::Released`]; they complete on the stand-in's threads, not before the answer.
    Release(Option<usize>),
}

/// The stand-in's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Question::State`].
    State(State),
    /// To [`Question::Switches`] and [`Question::Set`].
    Switches(Switches),
    /// To [`Question::Release`]: how many held calls were let go.
    Released(usize),
}

/// What is alive, pending and counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Async contexts made and not freed.
    pub async_contexts: usize,
    /// Credentials acquired and not freed.
    pub credentials: usize,
    /// Security contexts made and not deleted.
    pub contexts: usize,
    /// Buffers that `FreeContextBuffer` has not seen yet.
    pub context_buffers: usize,
    /// Asynchronous calls accepted whose callback has not returned, held ones included.
    pub in_flight: usize,
    /// Calls kept back by [`Completion::Held`].
    pub held: usize,
    /// Most calls that were in flight at once.
    pub most_in_flight: usize,
    /// Calls made so far, by function.
    pub calls: BTreeMap<Function, u64>,
    /// Statuses that asynchronous calls completed with, and how often.
    pub completions: BTreeMap<i32, u64>,
}

impl State {
    /// Whether nothing is left that a driver would have had to give back.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.async_contexts == 0
            && self.credentials == 0
            && self.contexts == 0
            && self.context_buffers == 0
            && self.in_flight == 0
    }
}

/// A function of `ksecdd.sys`.
#[expect(missing_docs, reason = "the functions' own names")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Function {
    SspiCreateAsyncContext,
    SspiFreeAsyncContext,
    SspiReinitAsyncContext,
    SspiSetAsyncNotifyCallback,
    SspiAsyncContextRequiresNotify,
    SspiGetAsyncCallStatus,
    SspiAcquireCredentialsHandleAsyncW,
    SspiAcceptSecurityContextAsync,
    SspiInitializeSecurityContextAsyncW,
    SspiDeleteSecurityContextAsync,
    SspiFreeCredentialsHandleAsync,
    QueryContextAttributesW,
    SealMessage,
    UnsealMessage,
    FreeContextBuffer,
    DeleteSecurityContext,
    FreeCredentialsHandle,
}

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
    /// How long a worker takes over a call before it does the work, in milliseconds.
    pub latency_ms: u64,
    /// IRQL at which callbacks run: 0 PASSIVE, 1 APC, 2 DISPATCH. (Import lists of a shipping
    /// user show that it is at most APC there; no document says.)
    pub callback_irql: u8,
    /// `SspiReinitAsyncContext` fails while the callback of the context has not returned.
    pub reinit_refused_in_callback: bool,
    /// `SspiReinitAsyncContext` always fails.
    pub reinit_refused: bool,
    /// Whether the token of an accept must be the one that acquired the credential.
    pub token_checked: bool,
    /// How much of its input one leg processes.
    pub records: Records,
    /// What becomes of a handshake message that is not complete with the records at hand.
    pub fragments: Fragments,
    /// A first leg that ends in an error leaves a context that must be deleted.
    pub failure_makes_context: bool,
    /// A first leg that ends in `SEC_E_BUFFER_TOO_SMALL` leaves a context.
    pub too_small_makes_context: bool,
    /// `UnsealMessage` reports an EXTRA buffer with `SEC_I_RENEGOTIATE`.
    pub renegotiate_extra: bool,
    /// `SealMessage` takes `SECQOP_WRAP_OOB_DATA` and makes an alert of it.
    pub out_of_band_alert: bool,
    /// Faults yet to come.
    pub faults: Vec<Fault>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            completion: Completion::Late,
            workers: 4,
            latency_ms: 0,
            callback_irql: 0,
            reinit_refused_in_callback: false,
            reinit_refused: false,
            token_checked: true,
            records: Records::All,
            fragments: Fragments::Kept,
            failure_makes_context: true,
            too_small_makes_context: false,
            renegotiate_extra: true,
            out_of_band_alert: true,
            faults: Vec::new(),
        }
    }
}

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
    /// The call waits for [`Question::Release`], then goes on as if `Late`.
    Held,
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

/// One call that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Of which function.
    pub function: Function,
    /// Which call of it, counted from when the switches were set; the next one is 1.
    pub nth: u64,
    /// What happens.
    pub effect: Effect,
}

/// What happens to a call that a [`Fault`] hits. It does none of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// It returns this status and never calls back.
    Refused(i32),
    /// It returns this status, and calls back nevertheless.
    RefusedWithCallback(i32),
    /// It is accepted and completes with this status.
    Completed(i32),
    /// It is accepted, its status becomes this one, and the callback never comes.
    CallbackLost(i32),
}
