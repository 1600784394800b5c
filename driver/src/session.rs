//! A session: one security context, its state, and its end.

use crate::{
    credential::CredentialUse,
    ending::Ending,
    gate::Gate,
    handle::Handle,
    leg, nt,
    operation::{Operation, Work},
    pending::Pending,
    quarantine,
    quota::Share,
    shared::Shared,
    sspi::{
        self, AsyncContext, Deletion, FirstCall, Holder, SecurityContext,
        schannel::{SECPKG_ATTR_STREAM_SIZES, StreamSizes},
    },
    stock::Stored,
    trace,
};
use core::{
    ptr,
    sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, AtomicUsize, Ordering},
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
    /// Its number since the driver was loaded, for events: ids mean nothing beyond their handle.
    pub number: u64,
    credential: CredentialUse,
    /// Its handle's share of the quarantine.
    pub quarantine: Shared<quarantine::Share>,
    /// When it was made, and when its handshake must be over, in unbiased time.
    made: u64,
    time_out: u64,
    state: State<AtomicUsize>,
    context: SecurityContext<Operation>,
    /// Made with the session, so that closing needs no memory; taken by the deletion.
    deleter: AtomicPtr<Operation>,
    /// The CLOSE_SESSION request to complete when the context is gone.
    closer: AtomicPtr<Pending>,
    /// How long the handshake took, in units of 100 ns; 0 until it is complete.
    took: AtomicU64,
    /// The last status that failed it, or 0.
    failure: AtomicI32,
    /// One side has said close_notify.
    is_ended: AtomicBool,
    _share: Share,
}

/// What a session is made of.
pub struct Beginning {
    /// Its credential.
    pub credential: CredentialUse,
    /// For its calls.
    pub asynchronous: AsyncContext<Operation>,
    /// What its first calls get.
    pub first: FirstCall,
    /// How long its handshake may take, in units of 100 ns.
    pub time_out: u64,
}

impl Session {
    /// A session before its first call. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// A quota is used up, or there is no memory.
    pub fn new(handle: &Handle, beginning: Beginning) -> Result<Shared<Self>, NtStatus> {
        let none = NtStatus::STATUS_INSUFFICIENT_RESOURCES;
        let gate = handle.gate;
        let Beginning {
            credential,
            asynchronous,
            first,
            time_out,
        } = beginning;
        let reserved = Share::take(gate, &gate.quotas.sessions, 1)
            .and_then(|share| Ok((share, Operation::new(gate, handle.lane, Work::Nothing)?)));
        let (share, deleter) = match reserved {
            Ok(reserved) => reserved,
            Err(status) => {
                gate.free_async_context(Some(asynchronous), &handle.quarantine);
                return Err(status);
            }
        };
        let session = Self {
            gate,
            number: gate.counters.sessions_made.next(),
            credential,
            quarantine: handle.quarantine.clone(),
            made: nt::unbiased_time(),
            time_out,
            state: State::new(),
            context: SecurityContext::new(asynchronous, first),
            deleter: AtomicPtr::new(deleter.into_raw()),
            closer: AtomicPtr::new(ptr::null_mut()),
            took: AtomicU64::new(0),
            failure: AtomicI32::new(0),
            is_ended: AtomicBool::new(false),
            _share: share,
        };
        match gate.lists.sessions.share(session) {
            Ok(session) => {
                gate.counters.sessions_live.up();
                trace::session_started(session.number, session.side());
                Ok(session)
            }
            Err(mut session) => {
                gate.free_async_context(session.context.dismantle(), &handle.quarantine);
                if let Some(deleter) = session.take_deleter() {
                    Operation::end(deleter);
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

    /// As events name it.
    fn side(&self) -> &'static str {
        match self.role() {
            Role::Server => "server",
            Role::Client => "client",
        }
    }

    /// When a leg that begins now must be over: the handshake's end, or, for what comes after it, as
    /// long as a handshake may take.
    ///
    /// # Errors
    ///
    /// `STATUS_IO_TIMEOUT`: the handshake's time has run out. The session has failed.
    pub fn due(&self, handle: &Handle) -> Result<u64, NtStatus> {
        let now = nt::unbiased_time();
        if self.phase() != Phase::Handshaking {
            return Ok(now.saturating_add(self.time_out));
        }
        let due = self.made.saturating_add(self.time_out);
        if now < due {
            return Ok(due);
        }
        leg::fail(handle, self, SecurityStatus::SEC_E_INTERNAL_ERROR);
        self.gate.counters.timed_out.up();
        Err(NtStatus::STATUS_IO_TIMEOUT)
    }

    /// What it can be used for.
    pub fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// The handshake is complete. IRQL: up to DISPATCH_LEVEL.
    pub fn establish(&self) {
        if self.state.establish() {
            self.gate.counters.handshakes.up();
            let took = nt::unbiased_time().saturating_sub(self.made);
            self.took.store(took, Ordering::Relaxed);
        }
    }

    /// The session is of no more use, because of this status. True if that ends its handshake. IRQL: up
    /// to DISPATCH_LEVEL.
    pub fn fail(&self, status: SecurityStatus) -> bool {
        let ends_handshake = self.end_handshake();
        if self.state.fail() {
            self.gate.counters.sessions_failed.up();
            self.failure.store(status.0, Ordering::Relaxed);
        }
        ends_handshake
    }

    /// Its caller closes it. True if that ends a handshake that was not complete: one that its caller
    /// begins and gives up has cost as much as one that fails. IRQL: up to DISPATCH_LEVEL.
    pub fn end_handshake(&self) -> bool {
        self.state.end_handshake()
    }

    /// One side has said close_notify.
    pub fn end(&self) {
        self.is_ended.store(true, Ordering::Relaxed);
    }

    /// Whether one side has said close_notify: a context that has expired then is not waiting for a
    /// leg.
    pub fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Relaxed)
    }

    /// It is over: says so to who listens.
    fn trace_end(&self) {
        let reason = match self.phase() {
            Phase::Established => "closed",
            Phase::Handshaking => "closed before it was established",
            Phase::Failed => "failed",
        };
        let took = self.took.load(Ordering::Relaxed) / 10;
        let status = self.failure.load(Ordering::Relaxed);
        trace::session_ended(self.number, reason, status, took);
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

    fn take_deleter(&self) -> Option<Stored<Operation>> {
        let raw = self.deleter.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: null, or what `new` leaked, taken back once.
        (!raw.is_null()).then(|| unsafe { Stored::from_raw(raw) })
    }

    /// Takes that request back, if it has not been taken.
    pub fn take_closer(&self) -> Option<Shared<Pending>> {
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
                closer: None,
                result: None,
            });
            session.gate.issuers.submit(deleter);
        }
    }
}

/// The context is gone, or there was none: frees the rest and completes CLOSE_SESSION. IRQL:
/// PASSIVE_LEVEL, on an issuer's thread.
pub fn finish_deletion(
    mut deletion: Deletion<Session>,
    closer: Option<Shared<Pending>>,
    result: SecurityStatus,
) {
    let parts = deletion.parts();
    let asynchronous = parts.asynchronous.take();
    let session = deletion.holder().clone();
    session
        .gate
        .free_async_context(asynchronous, &session.quarantine);
    session.credential.end();
    session.gate.counters.sessions_live.down();
    session.trace_end();
    if let Some(closer) = closer {
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
