//! A session: one security context, its state, and its end.

use crate::{
    credential::CredentialUse,
    ending::Ending,
    gate::Gate,
    memory::Shared,
    operation::{Operation, Work},
    pending::Pending,
    sspi::{
        self, AsyncContext, Deletion, FirstCall, Holder, SecurityContext,
        schannel::{SECPKG_ATTR_STREAM_SIZES, StreamSizes},
    },
};
use alloc::boxed::Box;
use core::{
    ptr,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering},
};
use tlsgate_core::session::{Phase, State};
use tlsgate_protocol::{
    NtStatus, Role, SecurityStatus,
    payload::{CloseReply, ReplyHead},
};
use wdk_sys::SecHandle;
use zerocopy::IntoBytes;

/// One session. Owned by its handle's table, by operations, and by requests that fail it.
pub struct Session {
    gate: &'static Gate,
    credential: CredentialUse,
    state: State<AtomicUsize>,
    context: SecurityContext<Operation>,
    /// Made with the session, so that closing needs no memory; taken by the deletion.
    deleter: AtomicPtr<Operation>,
    /// The CLOSE_SESSION request to complete when the context is gone.
    closer: AtomicPtr<Pending>,
}

impl Session {
    /// A session before its first call. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn new(
        gate: &'static Gate,
        credential: CredentialUse,
        asynchronous: AsyncContext<Operation>,
        first: FirstCall,
    ) -> Result<Shared<Self>, NtStatus> {
        let none = NtStatus::STATUS_INSUFFICIENT_RESOURCES;
        let deleter = match Operation::new(gate, Work::Nothing) {
            Ok(deleter) => deleter,
            Err(status) => {
                gate.free_async_context(Some(asynchronous));
                return Err(status);
            }
        };
        let session = Self {
            gate,
            credential,
            state: State::new(),
            context: SecurityContext::new(asynchronous, first),
            deleter: AtomicPtr::new(Box::into_raw(deleter)),
            closer: AtomicPtr::new(ptr::null_mut()),
        };
        match Shared::try_new(session) {
            Ok(session) => {
                gate.counters.sessions_live.up();
                gate.counters.sessions_made.up();
                Ok(session)
            }
            Err(mut session) => {
                gate.free_async_context(session.context.dismantle());
                if let Some(deleter) = session.take_deleter() {
                    deleter.end();
                }
                Err(none)
            }
        }
    }

    /// The credential it uses.
    pub const fn credential(&self) -> &CredentialUse {
        &self.credential
    }

    /// Whose side it is on.
    pub fn role(&self) -> Role {
        self.credential.profile().role
    }

    /// What it can be used for.
    pub fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// The handshake is complete. IRQL: up to DISPATCH_LEVEL.
    pub fn establish(&self) {
        if self.state.establish() {
            self.gate.counters.handshakes.up();
        }
    }

    /// The session is of no more use. IRQL: up to DISPATCH_LEVEL.
    pub fn fail(&self) {
        if self.state.fail() {
            self.gate.counters.sessions_failed.up();
        }
    }

    /// The sizes of a record's parts. At PASSIVE_LEVEL, with a use right.
    ///
    /// # Errors
    ///
    /// What Schannel says.
    pub fn stream_sizes(context: &SecHandle) -> Result<StreamSizes, SecurityStatus> {
        let mut sizes = StreamSizes::default();
        // SAFETY: the structure is the attribute's; the caller holds a use right.
        unsafe { sspi::query(context, SECPKG_ATTR_STREAM_SIZES, &mut sizes) }?;
        Ok(sizes)
    }

    /// Leaves the request that is to be completed when the context is gone.
    pub fn set_closer(&self, pending: Shared<Pending>) {
        self.closer.store(pending.into_raw(), Ordering::Release);
    }

    fn take_deleter(&self) -> Option<Box<Operation>> {
        let raw = self.deleter.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: null, or what `new` leaked, taken back once.
        (!raw.is_null()).then(|| unsafe { Box::from_raw(raw) })
    }

    fn take_closer(&self) -> Option<Shared<Pending>> {
        let raw = self.closer.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: null, or what `set_closer` gave away, taken back once.
        (!raw.is_null()).then(|| unsafe { Shared::from_raw(raw) })
    }
}

impl Holder for Session {
    type Operation = Operation;

    fn context(&self) -> &SecurityContext<Operation> {
        &self.context
    }

    fn delete(deletion: Deletion<Self>) {
        let session = deletion.holder().clone();
        if let Some(mut deleter) = session.take_deleter() {
            deleter.set(Work::End {
                ending: Ending::Session(deletion),
                result: None,
            });
            session.gate.issuers.submit(deleter);
        }
    }
}

/// The context is gone, or there was none: frees the rest and completes CLOSE_SESSION. IRQL:
/// PASSIVE_LEVEL, on an issuer's thread.
pub fn finish_deletion(mut deletion: Deletion<Session>, result: SecurityStatus) {
    let parts = deletion.parts();
    let asynchronous = parts.asynchronous.take();
    let session = deletion.holder().clone();
    session.gate.free_async_context(asynchronous);
    session.credential.end();
    session.gate.counters.sessions_live.down();
    if let Some(closer) = session.take_closer() {
        closer.complete(NtStatus::STATUS_SUCCESS, |room| {
            crate::dispatch::write(
                room,
                CloseReply {
                    head: ReplyHead::new(result),
                }
                .as_bytes(),
            )
        });
    }
}
