//! The rules whose breach stops the machine under test, each named after what was done wrong.
//!
//! The documents behind them are pages of `MicrosoftDocs`: the async functions' own pages in
//! sdk-api, the Schannel pages of `AcceptSecurityContext`, `EncryptMessage` and `DecryptMessage` in
//! win32. Where only a shipping user shows the rule, that user is named.

/// A breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The rule's name.
    pub rule: &'static str,
    /// What was done.
    pub detail: String,
}

/// What a call comes to that may breach a rule.
pub type Checked<T> = Result<T, Broken>;

/// A breach of `rule`.
pub fn broken<T>(rule: &'static str, detail: impl Into<String>) -> Checked<T> {
    Err(Broken {
        rule,
        detail: detail.into(),
    })
}

/// A breach of `rule` unless `kept`.
pub fn check(kept: bool, rule: &'static str, detail: impl FnOnce() -> String) -> Checked<()> {
    if kept { Ok(()) } else { broken(rule, detail()) }
}

/// A pointer that is no async context, or no longer one.
pub const UNKNOWN_ASYNC_CONTEXT: &str = "unknown-async-context";
/// A call, or a new callback, on an async context whose call has not completed
/// (`SspiCreateAsyncContext`: one operation at a time).
pub const ASYNC_CONTEXT_BUSY: &str = "async-context-busy";
/// A second call without `SspiReinitAsyncContext` in between.
pub const ASYNC_CONTEXT_NOT_REINITIALISED: &str = "async-context-not-reinitialised";
/// `SspiFreeAsyncContext` before the call is complete (its page forbids it).
pub const ASYNC_CONTEXT_FREED_PENDING: &str = "async-context-freed-pending";
/// `SspiFreeAsyncContext` after completion but before the callback was invoked (same page).
pub const ASYNC_CONTEXT_FREED_BEFORE_CALLBACK: &str = "async-context-freed-before-callback";
/// No callback where one is required: everywhere but for `SspiDeleteSecurityContextAsync`
/// (`SspiSetAsyncNotifyCallback`).
pub const CALLBACK_MISSING: &str = "callback-missing";
/// `SspiGetAsyncCallStatus` with no call to ask about.
pub const STATUS_WITHOUT_CALL: &str = "status-without-call";
/// Two calls on one security context (`AcceptSecurityContext` (Schannel): not thread-safe), two of
/// a kind of sealing and unsealing, or either during a leg.
pub const CONTEXT_USED_CONCURRENTLY: &str = "context-used-concurrently";
/// A security context deleted while a call on it is open. No document says what happens.
pub const CONTEXT_DELETED_IN_USE: &str = "context-deleted-in-use";
/// A credential freed before the security contexts and calls that use it.
pub const CREDENTIAL_FREED_IN_USE: &str = "credential-freed-in-use";
/// Memory of the input was written between call and completion.
pub const INPUT_CHANGED: &str = "input-changed-during-call";
/// Memory of the output was written by the caller between call and completion.
pub const OUTPUT_TOUCHED: &str = "output-touched-during-call";
/// Memory passed to a call could not be accessed at its completion.
pub const BUFFER_RELEASED: &str = "buffer-released-during-call";
/// A required pointer is NULL.
pub const NULL_ARGUMENT: &str = "null-argument";
/// A pointer to memory that cannot be accessed, or is not aligned.
pub const BAD_POINTER: &str = "bad-pointer";
/// Request flags of the other family, or without what a TLS stream needs (microsoft/msquic, pull
/// 2746: the ASC and ISC numbers differ).
pub const WRONG_REQUEST_FLAGS: &str = "wrong-request-flags";
/// `TargetDataRep` is neither 0 nor `SECURITY_NATIVE_DREP`.
pub const WRONG_DATA_REPRESENTATION: &str = "wrong-data-representation";
/// A `SecBufferDesc` of another version than `SECBUFFER_VERSION`.
pub const DESCRIPTOR_VERSION: &str = "descriptor-version";
/// Buffers of the wrong types, order or number.
pub const DESCRIPTOR_SHAPE: &str = "descriptor-shape";
/// No usable ALERT buffer ("the caller must pass one", `AcceptSecurityContext` (Schannel)).
pub const ALERT_BUFFER_MISSING: &str = "alert-buffer-missing";
/// `APPLICATION_PROTOCOLS` after the first call, or not laid out as `SEC_APPLICATION_PROTOCOLS`.
pub const APPLICATION_PROTOCOLS: &str = "bad-application-protocols";
/// `phNewContext` is NULL or names another context than `phContext` (`AcceptSecurityContext`
/// (Schannel)).
pub const NEW_CONTEXT: &str = "bad-new-context";
/// Input that the contract has the driver bring again came changed, after `SEC_E_BUFFER_TOO_SMALL`. (What
/// comes after `SEC_E_INCOMPLETE_MESSAGE`, `SEC_I_RENEGOTIATE` or EXTRA is the driver's caller's: other bytes
/// than were due end the connection there.)
pub const INPUT_NOT_REPEATED: &str = "input-not-repeated";
/// A credential structure that Windows would refuse or ignore.
pub const BAD_CREDENTIAL: &str = "bad-credential-structure";
/// `SCH_CREDENTIALS.dwFlags` that are unknown, of the other role, or contradict one another.
pub const CREDENTIAL_FLAGS: &str = "bad-credential-flags";
/// A client's first leg with an automatic check of the server's certificate and no `pszTargetName`
/// to check its name against.
pub const TARGET_NAME_MISSING: &str = "target-name-missing";
/// A leg under another token than the credential was acquired with (microsoft/msquic, pull 1652).
pub const OTHER_TOKEN: &str = "other-token-than-at-acquire";
/// A call above the IRQL at which callers of these functions run (microsoft/msquic: PASSIVE).
pub const IRQL_TOO_HIGH: &str = "sspi-irql-too-high";
/// An asynchronous call issued from a callback: whether that is allowed is open, so a driver that
/// must work everywhere does not.
pub const ISSUED_IN_CALLBACK: &str = "sspi-issued-in-callback";
/// `FreeContextBuffer` of something that is not to be freed.
pub const UNKNOWN_CONTEXT_BUFFER: &str = "unknown-context-buffer";
