//! An operation: what goes through the queue, is inside ksecdd during a call, and ends once.
//!
//! It has one owner at a time, by its type: dispatch, the queue, an issuer, ksecdd (the slot of an
//! async context), the callback. What its request needs from several threads is in
//! [`Pending`](crate::pending::Pending).

use crate::{
    acquire::{self, Acquisition},
    ending::{self, Ending},
    gate::Gate,
    leg::{self, HandshakeLeg},
    nt::{
        self,
        token::{Client, Impersonation},
    },
    pending::Pending,
    quarantine,
    shared::Shared,
    sspi::{Completed, Issued, Lent, Ready, When},
    stock::Stored,
};
use alloc::boxed::Box;
use core::{mem, sync::atomic::AtomicU64};
use tlsgate_core::{
    queue::{Lane, Refused},
    ticket::Begin,
};
use tlsgate_protocol::{NtStatus, SecurityStatus};
use wdk_sys::{SECURITY_STATUS, SspiAsyncContext};

/// One operation.
pub struct Operation {
    gate: &'static Gate,
    /// Its handle's place in the queue.
    lane: Lane,
    /// It counts among those inside ksecdd.
    admitted: bool,
    /// When its last call was issued, for measuring.
    issued: u64,
    /// The request it is for, if any.
    pub pending: Option<Shared<Pending>>,
    work: Work,
}

/// What an operation does. Small, as every session has one in reserve: what needs more has it elsewhere.
pub enum Work {
    /// Held in reserve for closing, or done.
    Nothing,
    /// Carries a caller's token to dispatch.
    Token(Box<Client>),
    /// Acquires a credential.
    Acquire(Acquisition),
    /// A leg of a handshake.
    Leg(Stored<HandshakeLeg>),
    /// Ends a session or a credential.
    End {
        /// The right to.
        ending: Ending,
        /// The request that waits for it, once the end has begun.
        closer: Option<Shared<Pending>>,
        /// What the call gave, once it has.
        result: Option<SecurityStatus>,
    },
}

impl Operation {
    /// An operation, with its place in the queue and in the driver's life. IRQL: up to
    /// DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// There are too many, there is no memory, or the driver is being unloaded.
    pub fn new(gate: &'static Gate, lane: Lane, work: Work) -> Result<Stored<Self>, NtStatus> {
        if !gate.enter() {
            return Err(NtStatus::STATUS_INVALID_DEVICE_STATE);
        }
        let registered = gate.issuers.register(lane);
        if let Err(refused) = registered {
            let status = match refused {
                Refused::TooMany => {
                    gate.counters.quota_refusals.up();
                    NtStatus::STATUS_QUOTA_EXCEEDED
                }
                Refused::OutOfMemory => NtStatus::STATUS_INSUFFICIENT_RESOURCES,
                Refused::Closed => NtStatus::STATUS_FILE_CLOSED,
            };
            // The driver may be unloaded as soon as the gate is left.
            drop(work);
            gate.leave();
            return Err(status);
        }
        let operation = Self {
            gate,
            lane,
            admitted: false,
            issued: 0,
            pending: None,
            work,
        };
        gate.lists.operations.store(operation).map_err(|operation| {
            // As above.
            drop(operation);
            gate.issuers.forget(lane, false);
            gate.leave();
            NtStatus::STATUS_INSUFFICIENT_RESOURCES
        })
    }

    /// The driver's gate.
    pub const fn gate(&self) -> &'static Gate {
        self.gate
    }

    /// Its handle's place in the queue.
    pub const fn lane(&self) -> Lane {
        self.lane
    }

    /// What it does, in place.
    pub const fn work(&mut self) -> &mut Work {
        &mut self.work
    }

    /// Gives an operation without work something to do.
    pub fn set(&mut self, work: Work) {
        self.work = work;
    }

    /// Takes the work out, for its end.
    pub fn take(&mut self) -> Work {
        mem::replace(&mut self.work, Work::Nothing)
    }

    /// The end of an operation. The driver may be unloaded right after: a callback's last statement.
    /// (Dispatch is kept by its handle, an issuer is joined.) IRQL: up to DISPATCH_LEVEL, unless it carries a token.
    pub fn end(operation: Stored<Self>) {
        let (gate, lane, admitted) = (operation.gate, operation.lane, operation.admitted);
        drop(operation);
        gate.issuers.forget(lane, admitted);
        gate.leave();
    }

    /// The next step, on an issuer's thread at PASSIVE_LEVEL.
    pub fn step(mut operation: Stored<Self>) {
        if matches!(operation.work, Work::Token(_) | Work::Nothing) {
            return Self::end(operation);
        }
        operation.admitted = true;
        match operation.work {
            Work::Leg(_) => leg::step(operation),
            Work::Acquire(_) => acquire::step(operation),
            Work::End { .. } => ending::step(operation),
            Work::Token(_) | Work::Nothing => {}
        }
    }

    /// The request that waits for it: its own, or the one that closes what it ends.
    fn request(&self) -> Option<Shared<Pending>> {
        match &self.work {
            Work::End { closer, .. } => closer.clone(),
            _ => self.pending.clone(),
        }
    }

    /// Before a call: whether the request still wants it.
    pub fn begin(&self) -> Begin {
        self.pending
            .as_ref()
            .map_or(Begin::Issue, |pending| pending.begin())
    }

    /// After a call that completed or was not made: the request hears of it. IRQL: up to
    /// DISPATCH_LEVEL.
    pub fn returned(&self) {
        if let Some(pending) = &self.pending {
            pending.returned();
        }
    }
}

/// Makes one call as `client`, has it watched, and goes on with it if it has completed. Gives the
/// operation back when the call was refused: its async context must go into quarantine. IRQL:
/// PASSIVE_LEVEL, on an issuer's thread.
///
/// # Safety
///
/// As for `sspi::Armed::issue`.
pub unsafe fn issue(
    gate: &'static Gate,
    ready: Ready<Operation>,
    mut operation: Lent<Operation>,
    client: Option<Impersonation<'_>>,
    call: impl FnOnce(*mut SspiAsyncContext) -> SECURITY_STATUS,
) -> Option<(Stored<Operation>, SecurityStatus)> {
    let Some(armed) = ready.arm() else {
        return Some((operation.reclaim(), SecurityStatus::SEC_E_INTERNAL_ERROR));
    };
    let pending = operation.get().request();
    gate.watch.call(&gate.settings, armed.watcher(), pending);
    operation.get().issued = nt::precise_time();
    // SAFETY: this function's contract.
    let issued = unsafe { armed.issue(operation, call) };
    drop(client);
    settle(gate, issued)
}

fn settle(
    gate: &'static Gate,
    issued: Issued<Operation>,
) -> Option<(Stored<Operation>, SecurityStatus)> {
    let counters = &gate.counters;
    counters.calls.up();
    match issued {
        Issued::Pending => counters.completed_late.up(),
        Issued::Completed(operation, status, when) => {
            match when {
                When::Inline => counters.completed_inline.up(),
                When::Early => counters.completed_early.up(),
            }
            Operation::completed(operation, status);
        }
        Issued::Refused(operation, status) => {
            counters.calls_refused.up();
            return Some((operation, status));
        }
    }
    None
}

impl Completed for Operation {
    type Kept = quarantine::Entry;

    fn completed(mut operation: Stored<Self>, status: SecurityStatus) {
        operation.returned();
        let gate = operation.gate;
        if matches!(operation.work, Work::Leg(_)) {
            let elapsed = nt::precise_time().saturating_sub(operation.issued);
            gate.counters.leg_latency.record(elapsed / 10);
        }
        match &mut operation.work {
            Work::Leg(_) => leg::completed(operation, status),
            Work::Acquire(_) => acquire::completed(operation, status),
            // What remains is for PASSIVE_LEVEL.
            Work::End { result, .. } => {
                *result = Some(status);
                gate.issuers.go_on(operation);
            }
            Work::Token(_) | Work::Nothing => Self::end(operation),
        }
    }

    fn called_back(irql: u8) {
        if let Some(gate) = Gate::get() {
            gate.counters
                .highest_callback_irql
                .at_least(u64::from(irql));
        }
    }

    fn stray() {
        if let Some(gate) = Gate::get() {
            gate.counters.stray_callbacks.up();
        }
    }

    fn unwatch(cell: &AtomicU64) {
        if let Some(gate) = Gate::get() {
            gate.watch.forget(cell);
        }
    }
}
