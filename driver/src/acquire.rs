//! ACQUIRE_CREDENTIAL.

use crate::{
    credential::{self, AcquiringUse, Credential, Profile},
    dispatch::{Outcome as Done, refuse, write},
    handle::Handle,
    kmdf::request::Request,
    nt::token::Client,
    operation::{self, Operation, Work},
    pending::{self, Pending},
    shared::Shared,
    sspi::{Authentication, Lent},
    stock::Stored,
};
use core::ptr;
use tlsgate_core::ticket::Begin;
use tlsgate_protocol::{
    Acquire, CredentialId, NtStatus, SecurityStatus,
    payload::{AcquireReply, ReplyHead},
};
use wdk_sys::ntddk::SspiAcquireCredentialsHandleAsyncW;
use zerocopy::IntoBytes;

/// An acquisition on its way.
pub struct Acquisition {
    right: AcquiringUse,
    id: CredentialId,
    /// The credential whose id it takes over.
    replaces: Option<CredentialId>,
}

/// Dispatch, at PASSIVE_LEVEL. The token was captured in the caller's thread.
pub fn dispatch(handle: &Shared<Handle>, request: Request, acquire: &Acquire<'_>) -> Done {
    if let Err(status) = may_replace(handle, acquire) {
        return refuse(request, status);
    }
    if let Err(status) = handle.may_issue() {
        return refuse(request, status);
    }
    let Some(mut operation) = pending::take_operation(&request) else {
        return refuse(request, NtStatus::STATUS_ACCESS_DENIED);
    };
    let Work::Token(client) = operation.take() else {
        Operation::end(operation);
        return refuse(request, NtStatus::STATUS_ACCESS_DENIED);
    };
    let profile = Profile {
        role: acquire.role,
        flags: acquire.flags,
    };
    let made = Authentication::new(acquire)
        .ok_or(NtStatus::STATUS_INSUFFICIENT_RESOURCES)
        .and_then(|it| Credential::begin(handle, *client, it, profile));
    let right = match made {
        Ok(right) => right,
        Err(status) => {
            Operation::end(operation);
            return refuse(request, status);
        }
    };
    let credential = right.credential().clone();
    let id = match handle.add_credential(credential.clone()) {
        Ok(id) => id,
        Err(status) => {
            let _after_this_use = credential::close(&credential);
            drop(right);
            Operation::end(operation);
            return refuse(request, status);
        }
    };
    operation.set(Work::Acquire(Acquisition {
        right,
        id,
        replaces: acquire.replaces,
    }));
    let due = handle.gate.due(acquire.timeout_ms);
    match Pending::pend(request, handle, None, due) {
        Ok(pending) => {
            operation.pending = Some(pending);
            handle.gate.issuers.submit(operation);
            Done::Pended
        }
        Err((request, status)) => {
            discard(handle, &credential, id);
            Operation::end(operation);
            request.map_or(Done::Completed, |request| refuse(request, status))
        }
    }
}

/// Only a credential that has been acquired can be replaced, and only by one for the same side.
fn may_replace(handle: &Handle, acquire: &Acquire<'_>) -> Result<(), NtStatus> {
    let Some(old_id) = acquire.replaces else {
        return Ok(());
    };
    let old = handle.credential(old_id)?;
    if !old.is_ready() {
        return Err(NtStatus::STATUS_NOT_FOUND);
    }
    if old.profile.role != acquire.role {
        return Err(NtStatus::STATUS_INVALID_PARAMETER);
    }
    Ok(())
}

/// The call. On an issuer's thread, at PASSIVE_LEVEL.
pub fn step(operation: Stored<Operation>) {
    if operation.begin() == Begin::Abandoned {
        return deliver(operation, SecurityStatus::SEC_E_INTERNAL_ERROR);
    }
    let gate = operation.gate();
    let mut operation = Lent::new(operation);
    let Work::Acquire(acquisition) = operation.get().work() else {
        return Operation::end(operation.reclaim());
    };
    // Kept beside the operation, which may be gone before this function returns.
    let credential = acquisition.right.credential().clone();
    let parts = acquisition.right.parts();
    let Some(ready) = gate.ready(&mut parts.asynchronous, &credential.quarantine) else {
        return refused(
            operation.reclaim(),
            SecurityStatus::SEC_E_INSUFFICIENT_MEMORY,
        );
    };
    // SAFETY: the structures lie in the credential, which the operation's right keeps.
    let arguments = unsafe { Authentication::arguments(&raw mut parts.authentication) };
    let made = &raw mut parts.handle;
    // SAFETY: the operation's right is a use, and lasts to the end of the call.
    let client = unsafe { credential.client() };
    let Some(Ok(client)) = client.map(Client::impersonate) else {
        return refused(operation.reclaim(), SecurityStatus::SEC_E_NO_CREDENTIALS);
    };
    let call = |context| {
        // SAFETY: the addresses stay until the callback; see below. No logon id, no key function, no
        // expiry: as msquic calls it.
        unsafe {
            SspiAcquireCredentialsHandleAsyncW(
                context,
                arguments.principal,
                arguments.package,
                arguments.credential_use,
                ptr::null_mut(),
                arguments.credentials,
                None,
                ptr::null_mut(),
                made,
                ptr::null_mut(),
            )
        }
    };
    // SAFETY: one call; the addresses lie in the credential that the operation's right keeps.
    let refused_call = unsafe { operation::issue(gate, ready, operation, Some(client), call) };
    if let Some((mut operation, status)) = refused_call {
        if let Work::Acquire(acquisition) = operation.work() {
            let context = acquisition.right.parts().asynchronous.take();
            gate.quarantine(context, &credential.quarantine);
        }
        refused(operation, status);
    }
}

/// The call has completed. In the callback, IRQL up to DISPATCH_LEVEL, or on the issuer's thread.
pub fn completed(operation: Stored<Operation>, status: SecurityStatus) {
    deliver(operation, status);
}

/// No call was made, or it was refused. On an issuer's thread.
fn refused(operation: Stored<Operation>, status: SecurityStatus) {
    operation.returned();
    deliver(operation, status);
}

fn deliver(mut operation: Stored<Operation>, status: SecurityStatus) {
    let (Work::Acquire(acquisition), Some(pending)) = (operation.take(), operation.pending.take())
    else {
        return Operation::end(operation);
    };
    let Acquisition {
        right,
        id,
        replaces,
    } = acquisition;
    let credential = right.credential().clone();
    let handle = pending.handle().clone();
    if status == SecurityStatus::SEC_E_OK {
        // First, so that a RELEASE_CREDENTIAL finds no use.
        drop(right);
        // Runs only if the reply is delivered: what nobody hears of cannot be used, nor replaced by
        // another acquisition, and replaces nothing.
        let delivered = pending.complete(NtStatus::STATUS_SUCCESS, |room| {
            credential.make_ready();
            let (status, id) = take_over(&handle, &credential, id, replaces);
            write(room, answer(status, id).as_bytes())
        });
        if !delivered {
            discard(&handle, &credential, id);
        }
    } else {
        discard(&handle, &credential, id);
        drop(right);
        pending.complete(NtStatus::STATUS_SUCCESS, |room| {
            write(room, answer(status, None).as_bytes())
        });
    }
    drop((credential, pending, handle));
    Operation::end(operation);
}

/// Gives the new credential the id of the one that it replaces. The sessions of that one live on, and
/// it goes with the last of them. IRQL: up to DISPATCH_LEVEL.
fn take_over(
    handle: &Shared<Handle>,
    credential: &Shared<Credential>,
    id: CredentialId,
    replaces: Option<CredentialId>,
) -> (SecurityStatus, Option<CredentialId>) {
    let Some(old_id) = replaces else {
        return (SecurityStatus::SEC_E_OK, Some(id));
    };
    if let Some(old) = handle.replace_credential(old_id, id) {
        let _freed_now_or_later = credential::close(&old);
        handle.gate.counters.credentials_replaced.up();
        (SecurityStatus::SEC_E_OK, Some(old_id))
    } else {
        // Released meanwhile.
        discard(handle, credential, id);
        (SecurityStatus::SEC_E_INVALID_HANDLE, None)
    }
}

fn answer(status: SecurityStatus, id: Option<CredentialId>) -> AcquireReply {
    AcquireReply {
        head: ReplyHead::new(status),
        credential: id.map_or(0, CredentialId::get),
    }
}

/// A credential whose id nobody knows goes at once. Whoever takes it out of the table closes it.
fn discard(handle: &Shared<Handle>, credential: &Shared<Credential>, id: CredentialId) {
    if handle.remove_credential(id).is_some() {
        let _freed_now_or_later = credential::close(credential);
    }
}
