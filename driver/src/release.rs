//! RELEASE_CREDENTIAL, and the freeing of every credential.

use crate::{
    credential::{self, Freeing},
    dispatch::{Outcome as Done, refuse, write},
    handle::Handle,
    kmdf::request::Request,
    memory::Shared,
    operation::{self, Operation, Work},
    pending::Pending,
    sspi::{self, Lent, is_valid},
};
use alloc::boxed::Box;
use tlsgate_core::rundown::Closed;
use tlsgate_protocol::{
    CredentialId, NtStatus, SecurityStatus,
    payload::{ReleaseReply, ReplyHead},
};
use wdk_sys::{
    SecHandle,
    ntddk::{FreeCredentialsHandle, SspiFreeCredentialsHandleAsync},
};
use zerocopy::IntoBytes;

/// Dispatch, at PASSIVE_LEVEL. The id is void at once; the request pends until the credential is
/// freed, or completes at once as deferred when sessions still use it.
pub fn dispatch(handle: &Shared<Handle>, request: Request, id: CredentialId) -> Done {
    match handle.credential(id) {
        Ok(credential) if credential.is_ready() => {}
        _ => return refuse(request, NtStatus::STATUS_NOT_FOUND),
    }
    let pending = match Pending::pend(request, handle, None) {
        Ok(pending) => pending,
        Err((Some(request), status)) => return refuse(request, status),
        Err((None, _)) => return Done::Completed,
    };
    let Some(credential) = handle.remove_credential(id) else {
        // Another RELEASE_CREDENTIAL was faster.
        pending.complete(NtStatus::STATUS_NOT_FOUND, |_| 0);
        return Done::Pended;
    };
    credential.set_closer(pending);
    if credential::close(&credential) == Closed::AfterLastUse
        && let Some(pending) = credential.take_closer()
    {
        let reply = ReleaseReply {
            head: ReplyHead::new(SecurityStatus::SEC_E_OK),
            deferred: 1,
            reserved: 0,
        };
        pending.complete(NtStatus::STATUS_SUCCESS, |room| {
            write(room, reply.as_bytes())
        });
    }
    Done::Pended
}

/// Frees the handle if there is one, then the rest. On an issuer's thread, at PASSIVE_LEVEL.
pub fn step(operation: Box<Operation>) {
    let gate = operation.gate();
    let mut operation = Lent::new(operation);
    let Work::Free { freeing, result } = operation.get().work() else {
        return operation.reclaim().end();
    };
    if let Some(result) = *result {
        return finish(operation.reclaim(), result);
    }
    let credential = freeing.credential().clone();
    let parts = freeing.parts();
    if !is_valid(&parts.handle) {
        return finish(operation.reclaim(), SecurityStatus::SEC_E_OK);
    }
    let handle = &raw mut parts.handle;
    let Some(ready) = gate.ready(&mut parts.asynchronous) else {
        // Reuse was refused, and there is no memory for a fresh async context.
        let result = without_async_context(handle);
        return finish(operation.reclaim(), result);
    };
    let call = |context| {
        // SAFETY: the addresses stay until the callback; see below.
        unsafe { SspiFreeCredentialsHandleAsync(context, handle) }
    };
    // SAFETY: one call; the handle lies in the credential, which the operation's right keeps.
    let issued = unsafe { ready.issue(operation, call) };
    drop(credential);
    if let Some((mut operation, _refused)) = operation::settle(gate, issued) {
        let Work::Free { freeing, .. } = operation.work() else {
            return operation.end();
        };
        let parts = freeing.parts();
        gate.quarantine(parts.asynchronous.take());
        let result = without_async_context(&raw mut parts.handle);
        finish(operation, result);
    }
}

/// Closing must not fail: the synchronous function blocks this issuer, which is the lesser evil.
fn without_async_context(handle: *mut SecHandle) -> SecurityStatus {
    // SAFETY: the handle is valid, and the freeing has it alone.
    sspi::status(unsafe { FreeCredentialsHandle(handle) })
}

fn finish(mut operation: Box<Operation>, result: SecurityStatus) {
    if let Work::Free { freeing, .. } = operation.take() {
        Freeing::finish(freeing, result);
    }
    operation.end();
}
