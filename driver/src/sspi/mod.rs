//! Ownership types over the asynchronous SSPI of `ksecdd.sys`.
//!
//! * [`AsyncContext`]: one `SspiAsyncContext`, made once and reused by `SspiReinitAsyncContext`.
//!   A call takes its operation's memory away, and the callback gives it back: what a pending call
//!   refers to cannot be touched, moved or freed. A context with a call inside cannot issue another
//!   one, nor be freed. A [`Watcher`] looks after a call that does not come back.
//! * [`SecurityContext`]: a context handle with its use rights. Only an [`Exclusive`] or a
//!   [`Deletion`] can reach what a handshake call or the deletion needs; both are had one at a time.
//! * [`Authentication`]: the structures behind a credential, pinned with it.
//! * [`HandshakeArguments`]: accept and initialize, one call of either.
//! * [`RemoteCertificates`]: Schannel's own memory, freed once.
//! * [`schannel`]: the Schannel structures that kernel headers lack.
//!
//! | misuse | why it cannot be |
//! |---|---|
//! | a second call while one is inside | a call takes `&mut AsyncContext`, which only the one [`Exclusive`] or [`Deletion`] gives, and the operation that owns it is inside; `CallSlot::arm` refuses besides |
//! | an async context freed with a call inside | as above: who could drop it is inside |
//! | a context deleted under a use | a [`Deletion`] is made by the end of the last use and by nothing else |
//! | memory of a pending call touched, moved or freed | [`Lent`] takes the operation away until it comes back |
//! | reuse in the callback | [`Completed::completed`] gets the operation when call and callback are over, and makes no call |
//! | a credential freed before its contexts | a session holds a `CredentialUse`, and ends it after its deletion |
//!
//! Every call is made at PASSIVE_LEVEL; the callback may come at any IRQL up to DISPATCH_LEVEL,
//! on any thread, before or after the call returns. The documentation gives no IRQL: that is
//! *assumed*, wider than what msquic and http.sys show.

mod async_context;
mod authentication;
mod buffers;
mod first_call;
mod handshake;
mod optional;
mod remote_certificates;
pub mod schannel;
mod security_context;
mod watcher;

pub use async_context::{AsyncContext, CallBlocks, Completed, Issued, Lent, Ready, When};
pub use authentication::Authentication;
pub use buffers::{InputBuffers, OutputBuffers, RecordBuffers};
pub use first_call::{FirstCall, TargetName};
pub use handshake::{HandshakeArguments, requirements};
pub use optional::look_up;
pub use remote_certificates::RemoteCertificates;
pub use security_context::{Deletion, Exclusive, Holder, SecurityContext, SharedUse, close};
pub use watcher::{Polled, Watcher};

use core::ffi::{c_ulong, c_void};
use tlsgate_protocol::SecurityStatus;
use wdk_sys::{SECURITY_STATUS, SecBufferDesc, SecHandle};

/// `SecInvalidateHandle`: both words all ones.
pub const INVALID_HANDLE: SecHandle = SecHandle {
    dwLower: u64::MAX,
    dwUpper: u64::MAX,
};

/// `SecIsValidHandle` (neither word is all ones), and not zeroed by a call that made nothing.
pub const fn is_valid(handle: &SecHandle) -> bool {
    let is_zero = handle.dwLower == 0 && handle.dwUpper == 0;
    handle.dwLower != u64::MAX && handle.dwUpper != u64::MAX && !is_zero
}

/// ksecdd's word for a status.
pub const fn status(raw: SECURITY_STATUS) -> SecurityStatus {
    SecurityStatus(raw)
}

// ksecdd.sys exports these under names that no WDK header declares; they take what `EncryptMessage`
// and `DecryptMessage` take (mingw-w64's import library; Microsoft's documentation of the latter).
unsafe extern "system" {
    /// `EncryptMessage` in the kernel.
    pub fn SealMessage(
        context: *const SecHandle,
        quality: c_ulong,
        message: *mut SecBufferDesc,
        sequence: c_ulong,
    ) -> SECURITY_STATUS;

    /// `DecryptMessage` in the kernel.
    pub fn UnsealMessage(
        context: *const SecHandle,
        message: *mut SecBufferDesc,
        sequence: c_ulong,
        quality: *mut c_ulong,
    ) -> SECURITY_STATUS;
}

/// Reads an attribute of a context. IRQL: PASSIVE_LEVEL.
///
/// # Errors
///
/// What `QueryContextAttributesW` says.
///
/// # Safety
///
/// T is the structure that `attribute` fills, and `handle` a context whose use right is held.
pub unsafe fn query<T>(
    handle: *const SecHandle,
    attribute: u32,
    value: &mut T,
) -> Result<(), SecurityStatus> {
    // SAFETY: this function's contract; the handle is only read.
    let result = unsafe {
        wdk_sys::ntddk::QueryContextAttributesW(
            handle.cast_mut(),
            attribute,
            core::ptr::from_mut(value).cast::<c_void>(),
        )
    };
    match status(result) {
        SecurityStatus::SEC_E_OK => Ok(()),
        other => Err(other),
    }
}
