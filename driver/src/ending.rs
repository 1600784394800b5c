//! The end of a session or a credential: ksecdd deletes what it holds, then the rest goes.

use crate::{
    credential::Freeing,
    operation::{self, Operation, Work},
    pending::Pending,
    quarantine,
    session::{Session, finish_deletion},
    shared::Shared,
    sspi::{self, AsyncContext, Deletion, Lent, is_valid},
    stock::Stored,
};
use tlsgate_protocol::SecurityStatus;
use wdk_sys::{
    SECURITY_STATUS, SecHandle, SspiAsyncContext,
    ntddk::{
        DeleteSecurityContext, FreeCredentialsHandle, SspiDeleteSecurityContextAsync,
        SspiFreeCredentialsHandleAsync,
    },
};

/// The right, and the duty, to end something: its last use is over.
pub enum Ending {
    /// A session's security context.
    Session(Deletion<Session>),
    /// A credential.
    Credential(Freeing),
}

/// A function of the family that ends a handle.
type Asynchronous = unsafe extern "C" fn(*mut SspiAsyncContext, *mut SecHandle) -> SECURITY_STATUS;
/// Its synchronous counterpart.
type Synchronous = unsafe extern "C" fn(*mut SecHandle) -> SECURITY_STATUS;

impl Ending {
    /// The handle, and the async context for the call.
    fn parts(&mut self) -> (&mut SecHandle, &mut Option<AsyncContext<Operation>>) {
        match self {
            Self::Session(deletion) => {
                let parts = deletion.parts();
                (&mut parts.handle, &mut parts.asynchronous)
            }
            Self::Credential(freeing) => {
                let parts = freeing.parts();
                (&mut parts.handle, &mut parts.asynchronous)
            }
        }
    }

    /// Takes the request that waits for the end, if any.
    fn take_closer(&self) -> Option<Shared<Pending>> {
        match self {
            Self::Session(deletion) => deletion.holder().take_closer(),
            Self::Credential(freeing) => freeing.take_closer(),
        }
    }

    /// Its handle's share of the quarantine.
    fn quarantine(&self) -> Shared<quarantine::Share> {
        match self {
            Self::Session(deletion) => deletion.holder().quarantine.clone(),
            Self::Credential(freeing) => freeing.quarantine().clone(),
        }
    }

    const fn functions(&self) -> (Asynchronous, Synchronous) {
        match self {
            Self::Session(_) => (SspiDeleteSecurityContextAsync, DeleteSecurityContext),
            Self::Credential(_) => (SspiFreeCredentialsHandleAsync, FreeCredentialsHandle),
        }
    }

    /// Closing must not fail: without an async context the synchronous function blocks this
    /// issuer, which is the lesser evil.
    fn without_async_context(&mut self) -> SecurityStatus {
        let (_, synchronous) = self.functions();
        let (handle, _) = self.parts();
        // SAFETY: the handle is valid, and the ending has it alone.
        sspi::status(unsafe { synchronous(handle) })
    }
}

/// Ends the handle if there is one, then the rest. On an issuer's thread, at PASSIVE_LEVEL.
pub fn step(operation: Stored<Operation>) {
    let gate = operation.gate();
    let mut operation = Lent::new(operation);
    let Work::End {
        ending,
        closer,
        result,
    } = operation.get().work()
    else {
        return Operation::end(operation.reclaim());
    };
    if closer.is_none() {
        *closer = ending.take_closer();
    }
    if let Some(result) = *result {
        return finish(operation.reclaim(), result);
    }
    let (asynchronous, _) = ending.functions();
    let share = ending.quarantine();
    let (handle, context) = ending.parts();
    if !is_valid(handle) {
        return finish(operation.reclaim(), SecurityStatus::SEC_E_OK);
    }
    let Some(ready) = gate.ready(context, &share) else {
        // Reuse was refused, and there is no memory for a fresh async context.
        let result = ending.without_async_context();
        return finish(operation.reclaim(), result);
    };
    let handle = core::ptr::from_mut(handle);
    let call = |context| {
        // SAFETY: the handle stays until the call is over; see below.
        unsafe { asynchronous(context, handle) }
    };
    // SAFETY: one call; the handle lies in what the operation's ending keeps.
    let refused = unsafe { operation::issue(gate, ready, operation, None, call) };
    if let Some((mut operation, _status)) = refused {
        let Work::End { ending, .. } = operation.work() else {
            return Operation::end(operation);
        };
        gate.quarantine(ending.parts().1.take(), &share);
        let result = ending.without_async_context();
        finish(operation, result);
    }
}

fn finish(mut operation: Stored<Operation>, result: SecurityStatus) {
    if let Work::End { ending, closer, .. } = operation.take() {
        match ending {
            Ending::Session(deletion) => finish_deletion(deletion, closer, result),
            Ending::Credential(freeing) => freeing.finish(closer, result),
        }
    }
    Operation::end(operation);
}
