//! A pended request: completed exactly once, by its result or by whoever gives it up.

use crate::{
    handle::Handle,
    kmdf::{
        object::{ContextType, ZeroContext},
        request::{Pended, Request},
    },
    leg,
    operation::Operation,
    quota::Place,
    session::Session,
    shared::Shared,
    stock::Stored,
    trace,
};
use core::{
    mem::ManuallyDrop,
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering},
};
use tlsgate_core::{
    parties::Parties,
    ticket::{Abandoned, Begin, Ticket},
};
use tlsgate_protocol::{NtStatus, SecurityStatus};
use wdk_sys::{WDFOBJECT, WDFREQUEST};

/// Context space of every request.
pub struct RequestContext {
    /// The operation that EvtIoInCallerContext made with the caller's token, for dispatch.
    operation: AtomicPtr<Operation>,
    /// One owner of the request's [`Pending`], for the cancel callback; taken back by whoever
    /// completes the request.
    pending: AtomicPtr<Pending>,
}

// SAFETY: null pointers are values, and the pointers are atomic.
unsafe impl ZeroContext for RequestContext {}

/// Declares [`RequestContext`] to the framework.
pub static REQUEST_CONTEXT: ContextType<RequestContext> =
    ContextType::new(c"TlsGateRequest", &raw const REQUEST_CONTEXT);

/// What a pended request's parties share.
pub struct Pending {
    ticket: Ticket<AtomicUsize>,
    request: Pended,
    /// The session that fails when the request is given up.
    session: Option<Shared<Session>>,
    /// Its number in the handle's table; 0 before it is there.
    number: AtomicU64,
    /// Its deadline's key in the watch; 0 before it is there.
    deadline: AtomicU64,
    _place: Option<Place>,
    /// Last to be dropped: it keeps the driver loaded.
    handle: Shared<Handle>,
}

impl Pending {
    /// Marks a request cancelable, before anything is issued for it, to be given up when it is `due`
    /// in unbiased time. From here on its buffer is not to be touched: the request may be completed at
    /// any time. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// The request, if it is still the caller's to complete, and with what.
    pub fn pend(
        request: Request,
        handle: &Shared<Handle>,
        session: Option<Shared<Session>>,
        due: u64,
    ) -> Result<Shared<Self>, (Option<Request>, NtStatus)> {
        match Place::take(handle) {
            Ok(place) => Self::pend_in(request, handle, session, due, Some(place)),
            Err(status) => Err((Some(request), status)),
        }
    }

    /// The same for a request that closes something, which no quota is to keep from it: there are no more of
    /// them than there are things to close, and threads that dispatch.
    ///
    /// # Errors
    ///
    /// As above, but for the quota.
    pub fn pend_closing(
        request: Request,
        handle: &Shared<Handle>,
    ) -> Result<Shared<Self>, (Option<Request>, NtStatus)> {
        Self::pend_in(request, handle, None, handle.gate.closing_due(), None)
    }

    fn pend_in(
        request: Request,
        handle: &Shared<Handle>,
        session: Option<Shared<Session>>,
        due: u64,
        place: Option<Place>,
    ) -> Result<Shared<Self>, (Option<Request>, NtStatus)> {
        let gate = handle.gate;
        let pending = Self {
            ticket: Ticket::new(),
            request: request.keep(),
            handle: handle.clone(),
            session,
            number: AtomicU64::new(0),
            deadline: AtomicU64::new(0),
            _place: place,
        };
        let Ok(pending) = gate.lists.pending.share(pending) else {
            return Err((Some(request), NtStatus::STATUS_INSUFFICIENT_RESOURCES));
        };
        let Some(context) = context_of(request.handle()) else {
            return Err((Some(request), NtStatus::STATUS_INVALID_DEVICE_REQUEST));
        };
        context
            .pending
            .store(pending.clone().into_raw(), Ordering::Release);
        if let Err((request, status)) = request.mark_cancelable(Some(cancelled)) {
            // The cancel callback never comes.
            drop(take_pending(request.handle()));
            return Err((Some(request), status));
        }
        // Only now: clean-up unmarks what it finds in the table.
        let added = handle.add_pending(pending.clone()).and_then(|number| {
            let _none = pending.number.swap(number, Ordering::AcqRel);
            let deadline = gate
                .watch
                .request(due, pending.clone())
                .ok_or(NtStatus::STATUS_INSUFFICIENT_RESOURCES)?;
            pending.deadline.store(deadline.raw(), Ordering::Release);
            Ok(())
        });
        match added {
            Ok(()) => Ok(pending),
            Err(status) => {
                pending.complete(status, |_| 0);
                Err((None, status))
            }
        }
    }

    /// Before a call to ksecdd for this request.
    pub fn begin(&self) -> Begin {
        self.party("").begin()
    }

    /// After the call. IRQL: up to DISPATCH_LEVEL.
    pub fn returned(&self) {
        self.party("").returned();
    }

    /// The session that fails when the request is given up.
    pub const fn session(&self) -> Option<&Shared<Session>> {
        self.session.as_ref()
    }

    /// The handle that the request came over.
    pub const fn handle(&self) -> &Shared<Handle> {
        &self.handle
    }

    /// Completes the request with its result, unless it was given up. `reply` writes the reply and
    /// gives its length; it runs only when the reply is delivered. True if it was. IRQL: up to
    /// DISPATCH_LEVEL.
    pub fn complete(&self, status: NtStatus, reply: impl FnOnce(&mut [u8]) -> usize) -> bool {
        self.party("").conclude(|| {
            // SAFETY: claimed and unmarked, so it is ours alone, once.
            unsafe { self.request.complete(status, reply) };
        })
    }

    /// Gives the request up for another reason than its cancellation. Says where its operation was, if
    /// the request was still there to be given up. IRQL: up to DISPATCH_LEVEL.
    pub fn give_up(&self, status: NtStatus, reason: &'static str) -> Option<Abandoned> {
        self.party(reason).give_up(|| {
            // SAFETY: claimed and unmarked, so it is ours alone, once.
            unsafe { self.request.complete(status, |_| 0) };
        })
    }

    /// Gives the request up because its time has run out. IRQL: up to DISPATCH_LEVEL.
    pub fn time_out(&self) {
        let counters = &self.handle.gate.counters;
        if let Some(place) = self.give_up(NtStatus::STATUS_IO_TIMEOUT, "time-out") {
            counters.timed_out.up();
            if place == Abandoned::Orphaned {
                counters.timed_out_inside.up();
            }
        }
    }

    const fn party(&self, reason: &'static str) -> Party<'_> {
        Party {
            pending: self,
            reason,
        }
    }

    fn count_orphan(&self) {
        let gate = self.handle.gate;
        gate.counters.orphans_live.up();
        if self.handle.orphans.add() {
            gate.orphans.up();
        }
    }

    fn uncount_orphan(&self) {
        let gate = self.handle.gate;
        gate.counters.orphans_live.down();
        if self.handle.orphans.remove() {
            gate.orphans.down();
        }
    }
}

/// One that completes a request or gives it up: the policy is in `tlsgate_core::parties`.
struct Party<'a> {
    pending: &'a Pending,
    /// Why it gives it up, for events.
    reason: &'static str,
}

impl Parties for Party<'_> {
    type Word = AtomicUsize;

    fn ticket(&self) -> &Ticket<AtomicUsize> {
        &self.pending.ticket
    }

    fn forget(&self) {
        let (pending, handle) = (self.pending, &self.pending.handle);
        match pending.number.swap(0, Ordering::AcqRel) {
            0 => {}
            number => handle.remove_pending(number),
        }
        handle.gate.watch.forget(&pending.deadline);
    }

    fn unmark(&self) -> bool {
        let request = &self.pending.request;
        // SAFETY: `pend` marked it, only the ticket's claimant comes here, and the cancel callback
        // does not complete a request that is claimed before its unmark has failed.
        let ours = unsafe { request.unmark_cancelable() };
        if ours {
            drop(take_pending(request.handle()));
        }
        ours
    }

    /// For the later of claimant and cancel callback.
    fn complete_cancelled(&self) {
        let request = &self.pending.request;
        drop(take_pending(request.handle()));
        // SAFETY: the ticket gave the completion to the caller, once.
        unsafe { request.complete(NtStatus::STATUS_CANCELLED, |_| 0) };
    }

    fn fail_session(&self) {
        if let Some(session) = &self.pending.session {
            let handle = &self.pending.handle;
            leg::fail(handle, session, SecurityStatus::SEC_E_INTERNAL_ERROR);
        }
    }

    fn orphan_more(&self) {
        self.pending.count_orphan();
    }

    fn orphan_less(&self) {
        self.pending.uncount_orphan();
    }

    fn tell_orphan(&self) {
        let session = self.pending.session.as_ref();
        trace::orphaned(session.map_or(0, |session| session.number), self.reason);
    }
}

/// Leaves the operation with the caller's token for dispatch. IRQL: up to DISPATCH_LEVEL.
pub fn put_operation(request: &Request, operation: Stored<Operation>) {
    if let Some(context) = context_of(request.handle()) {
        context
            .operation
            .store(operation.into_raw(), Ordering::Release);
    }
}

/// Takes the operation that [`put_operation`] left.
pub fn take_operation(request: &Request) -> Option<Stored<Operation>> {
    context_of(request.handle()).and_then(RequestContext::take_operation)
}

impl RequestContext {
    fn take_operation(&self) -> Option<Stored<Operation>> {
        let raw = self.operation.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: null, or what `put_operation` leaked, taken back once.
        (!raw.is_null()).then(|| unsafe { Stored::from_raw(raw) })
    }
}

/// The end of a request, as EvtCleanupCallback. IRQL: up to DISPATCH_LEVEL, where a token must not
/// be released: an issuer does that.
///
/// # Safety
///
/// Called by the framework, with a request of the device.
pub unsafe extern "C" fn request_gone(request: WDFOBJECT) {
    let operation = context_of(request.cast()).and_then(RequestContext::take_operation);
    if let (Some(operation), Some(gate)) = (operation, crate::gate::Gate::get()) {
        gate.issuers.go_on(operation);
    }
}

/// EvtRequestCancel. IRQL: up to DISPATCH_LEVEL, any thread.
///
/// # Safety
///
/// Called by the framework, with a request that was marked by [`Pending::pend`].
unsafe extern "C" fn cancelled(request: WDFREQUEST) {
    let Some(pending) = view_pending(request) else {
        return;
    };
    pending.handle.gate.counters.cancelled.up();
    let _traced = pending.party("cancelled").cancelled();
}

/// A further owner, for the cancel callback: the first stays until the request is completed, which
/// does not happen before the callback has met the claimant in the ticket.
fn view_pending(request: WDFREQUEST) -> Option<Shared<Pending>> {
    let raw = context_of(request)?.pending.load(Ordering::Acquire);
    // SAFETY: null, or an owner that `pend` gave away and that is still there, see above.
    let owner = (!raw.is_null()).then(|| ManuallyDrop::new(unsafe { Shared::from_raw(raw) }))?;
    Some(Shared::clone(&owner))
}

fn take_pending(request: WDFREQUEST) -> Option<Shared<Pending>> {
    let raw = context_of(request)?
        .pending
        .swap(ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: null, or an owner that `pend` gave away, taken back once.
    (!raw.is_null()).then(|| unsafe { Shared::from_raw(raw) })
}

/// The context of a request that is referenced, delivered or being cleaned up.
fn context_of<'a>(request: WDFREQUEST) -> Option<&'a RequestContext> {
    // SAFETY: every request of the device has this context; the callers here hold the request.
    unsafe { REQUEST_CONTEXT.of(request.cast()) }
}
