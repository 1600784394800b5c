//! RELEASE_CREDENTIAL, and the freeing of every credential.

use crate::{
    credential::{self, Freeing},
    dispatch::{Outcome as Done, refuse, write},
    handle::Handle,
    kmdf::request::Request,
    memory::Shared,
    operation::{self, Operation, Work},
    pending::Pending,
    sspi::is_valid,
};
use alloc::boxed::Box;
use tlsgate_core::rundown::Closed;
use tlsgate_protocol::{
    CredentialId, NtStatus, SecurityStatus,
    payload::{ReleaseReply, ReplyHead},
};
use wdk_sys::ntddk::SspiFreeCredentialsHandleAsync;
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
pub fn step(mut operation: Box<Operation>) {
    let gate = operation.gate();
    let Work::Free { freeing, result } = operation.work() else {
        return operation.end();
    };
    if let Some(result) = *result {
        return finish(operation, result);
    }
    let credential = freeing.credential().clone();
    let parts = freeing.parts();
    if !is_valid(&parts.handle) {
        return finish(operation, SecurityStatus::SEC_E_OK);
    }
    let handle = &raw mut parts.handle;
    let Some(ready) = gate.ready(&mut parts.asynchronous) else {
        return finish(operation, SecurityStatus::SEC_E_INSUFFICIENT_MEMORY);
    };
    let call = |context| {
        // SAFETY: the addresses stay until the callback; see below.
        unsafe { SspiFreeCredentialsHandleAsync(context, handle) }
    };
    // SAFETY: one call; the handle lies in the credential, which the operation's right keeps.
    let issued = unsafe { ready.issue(operation, call) };
    drop(credential);
    if let Some((mut operation, status)) = operation::issued(gate, issued) {
        if let Work::Free { freeing, .. } = operation.work() {
            gate.quarantine(freeing.parts().asynchronous.take());
        }
        finish(operation, status);
    }
}

fn finish(mut operation: Box<Operation>, result: SecurityStatus) {
    if let Work::Free { freeing, .. } = operation.take() {
        Freeing::finish(freeing, result);
    }
    operation.end();
}
