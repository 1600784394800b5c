//! CLOSE_SESSION, and the deletion of every security context.

use crate::{
    dispatch::{Outcome as Done, refuse},
    handle::Handle,
    kmdf::request::Request,
    memory::Shared,
    operation::{self, Operation, Work},
    pending::Pending,
    session::finish_deletion,
    sspi::{self, Lent, is_valid},
};
use alloc::boxed::Box;
use tlsgate_protocol::{NtStatus, SecurityStatus, SessionId};
use wdk_sys::{
    SecHandle,
    ntddk::{DeleteSecurityContext, SspiDeleteSecurityContextAsync},
};

/// Dispatch, at PASSIVE_LEVEL. The id is void at once; the request pends until the context is
/// deleted, which waits for every use that is open.
pub fn dispatch(handle: &Shared<Handle>, request: Request, id: SessionId) -> Done {
    if let Err(status) = handle.session(id) {
        return refuse(request, status);
    }
    let pending = match Pending::pend(request, handle, None) {
        Ok(pending) => pending,
        Err((Some(request), status)) => return refuse(request, status),
        Err((None, _)) => return Done::Completed,
    };
    let Some(session) = handle.remove_session(id) else {
        // Another CLOSE_SESSION was faster.
        pending.complete(NtStatus::STATUS_NOT_FOUND, |_| 0);
        return Done::Pended;
    };
    session.set_closer(pending);
    sspi::close(&session);
    Done::Pended
}

/// Deletes the context if there is one, then the rest. On an issuer's thread, at PASSIVE_LEVEL.
pub fn step(operation: Box<Operation>) {
    let gate = operation.gate();
    let mut operation = Lent::new(operation);
    let Work::Delete { deletion, result } = operation.get().work() else {
        return operation.reclaim().end();
    };
    if let Some(result) = *result {
        return finish(operation.reclaim(), result);
    }
    // Kept beside the operation, which may be gone before this function returns.
    let session = deletion.holder().clone();
    let parts = deletion.parts();
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
        unsafe { SspiDeleteSecurityContextAsync(context, handle) }
    };
    // SAFETY: one call; the handle lies in the session, which the operation's right keeps.
    let issued = unsafe { ready.issue(operation, call) };
    drop(session);
    if let Some((mut operation, _refused)) = operation::settle(gate, issued) {
        let Work::Delete { deletion, .. } = operation.work() else {
            return operation.end();
        };
        let parts = deletion.parts();
        gate.quarantine(parts.asynchronous.take());
        let result = without_async_context(&raw mut parts.handle);
        finish(operation, result);
    }
}

/// Closing must not fail: the synchronous function blocks this issuer, which is the lesser evil.
fn without_async_context(handle: *mut SecHandle) -> SecurityStatus {
    // SAFETY: the handle is valid, and the deletion has it alone.
    sspi::status(unsafe { DeleteSecurityContext(handle) })
}

fn finish(mut operation: Box<Operation>, result: SecurityStatus) {
    if let Work::Delete { deletion, .. } = operation.take() {
        finish_deletion(deletion, result);
    }
    operation.end();
}
