//! What there is once a driver: the issuers, the look-aside list, the counters, the quarantine.

use crate::{
    counters::Counters,
    issuers::Issuers,
    kmdf::{lookaside::Lookaside, spin_lock::SpinLock},
    memory::try_box,
    nt::{self, event::Event, thread},
    operation::Operation,
    sspi::{AsyncContext, Ready, exports_present},
    trace,
};
use alloc::boxed::Box;
use core::{
    pin::Pin,
    ptr,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering},
};
use tlsgate_core::{
    budget::Budget,
    quarantine::Quarantine,
    rundown::{Closed, Rundown},
};
use tlsgate_protocol::NtStatus;

/// Bytes of a look-aside block: what a leg's output starts with, and most inputs fit in.
const BLOCK: usize = 8 * 1024;

/// Bytes of waiting input at a time, driver-wide: a caller cannot empty the nonpaged pool, not even with
/// legs that wait behind a security subsystem that has stopped.
const MOST_BYTES: usize = 512 * 1024 * 1024;

/// Async contexts in quarantine at a time. While there are so many no further one is made: no new
/// session or credential, and closings whose own is gone use the synchronous functions.
const MOST_QUARANTINED: usize = 1024;

/// How long an async context stays there at least: a minute, in the 100 ns of interrupt time.
const QUARANTINE_PERIOD: u64 = 60 * 10_000_000;

/// How long unload waits after the last callback has been heard of, for its `ret` (design,
/// invariant 4). Nothing tells a driver that a thread has left its code; the last statement of the
/// callback is microseconds before.
const GRACE_MILLISECONDS: u16 = 100;

/// Everything that is not a handle's. Lives from `DriverEntry` to the end of EvtDriverUnload.
pub struct Gate {
    /// The driver's threads and their queue.
    pub issuers: Issuers,
    /// Blocks for tokens.
    pub blocks: Lookaside,
    /// Bytes of waiting input, driver-wide.
    pub bytes: Budget<AtomicUsize>,
    /// Which optional functions ksecdd.sys has, looked up when the driver was loaded.
    pub optional_exports: u32,
    /// Statistics.
    pub counters: Counters,
    /// Async contexts that may yet call back although their call was refused.
    quarantine: SpinLock<Kept>,
    /// Handles, and operations, those in reserve for closing included: what keeps the driver loaded.
    alive: Rundown<AtomicUsize>,
    /// Set when the last of them has gone.
    drained: Event,
}

/// The quarantine's two generations.
struct Kept {
    policy: Quarantine,
    young: List,
    old: List,
}

/// Async contexts, each with the next.
type List = Option<Box<AsyncContext<Operation>>>;

static GATE: AtomicPtr<Gate> = AtomicPtr::new(ptr::null_mut());

impl Gate {
    /// Makes the gate and starts its threads. IRQL: PASSIVE_LEVEL, from `DriverEntry`.
    ///
    /// # Errors
    ///
    /// There is no memory, or no thread.
    pub fn open() -> Result<(), NtStatus> {
        trace::open();
        Self::start().inspect_err(|status| {
            trace::start_failed("resources", status.0);
            trace::close();
        })
    }

    fn start() -> Result<(), NtStatus> {
        let gate = Self {
            issuers: Issuers::new()?,
            blocks: Lookaside::new(BLOCK)?,
            bytes: Budget::new(MOST_BYTES),
            optional_exports: exports_present(),
            counters: Counters::default(),
            quarantine: SpinLock::new(Kept {
                policy: Quarantine::new(QUARANTINE_PERIOD, MOST_QUARANTINED),
                young: None,
                old: None,
            })?,
            alive: Rundown::new(),
            drained: Event::new(),
        };
        let gate = try_box(gate).map_err(|_| NtStatus::STATUS_INSUFFICIENT_RESOURCES)?;
        let gate = Box::into_raw(gate);
        GATE.store(gate, Ordering::Release);
        // SAFETY: just made; freed by `shut`, which nothing outlives.
        let gate: &'static Self = unsafe { &*gate };
        Pin::static_ref(&gate.drained).initialize();
        if let Err(status) = Pin::static_ref(&gate.issuers).start(gate) {
            Self::end();
            return Err(status);
        }
        Ok(())
    }

    /// The gate. `None` before it is open.
    pub fn get() -> Option<&'static Self> {
        // SAFETY: null, or the gate, which lives until nothing of the driver runs any more.
        unsafe { GATE.load(Ordering::Acquire).as_ref() }
    }

    /// Waits until every operation has ended, which is when every callback has come and everything
    /// has been closed, joins the threads, and frees the gate. IRQL: PASSIVE_LEVEL, from
    /// EvtDriverUnload, when no handle is open any more. But for idle issuers, the only place in
    /// the driver that waits.
    pub fn shut() {
        Self::end();
        trace::close();
    }

    fn end() {
        let Some(gate) = Self::get() else { return };
        match gate.alive.close() {
            Closed::Now | Closed::Before => {}
            Closed::AfterLastUse => Pin::static_ref(&gate.drained).wait(),
        }
        Pin::static_ref(&gate.issuers).stop();
        thread::sleep_milliseconds(GRACE_MILLISECONDS);
        let kept = {
            let mut kept = gate.quarantine.lock();
            [kept.young.take(), kept.old.take()]
        };
        for list in kept {
            gate.free_list(list);
        }
        let gate = GATE.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: made by `open`; no thread, handle, session or credential is left to use it.
        drop(unsafe { Box::from_raw(gate) });
    }

    /// Counts an operation or a handle. False when the driver is being unloaded.
    #[must_use]
    pub fn enter(&self) -> bool {
        self.alive.acquire()
    }

    /// The opposite of [`Self::enter`]. IRQL: up to DISPATCH_LEVEL.
    pub fn leave(&'static self) {
        if self.alive.release() {
            Pin::static_ref(&self.drained).set();
        }
    }

    /// Makes the async context in `place` ready for a call, or puts a fresh one there. IRQL:
    /// PASSIVE_LEVEL, on an issuer's thread. `None` when there is no memory or the quarantine is full.
    pub fn ready(&self, place: &mut Option<AsyncContext<Operation>>) -> Option<Ready<Operation>> {
        if let Some(context) = place {
            if let Some(ready) = context.ready() {
                return Some(ready);
            }
            self.counters.reinit_refused.up();
        }
        let fresh = self.new_async_context()?;
        self.free_async_context(place.replace(fresh));
        place.as_mut()?.ready()
    }

    /// Makes an async context. IRQL: PASSIVE_LEVEL. `None` when there is no memory or the quarantine
    /// is full.
    pub fn new_async_context(&self) -> Option<AsyncContext<Operation>> {
        if self.is_quarantine_full() {
            self.counters.quota_refusals.up();
            return None;
        }
        let context = AsyncContext::new()?;
        self.counters.async_contexts_live.up();
        Some(context)
    }

    /// Frees an async context without a call inside. IRQL: PASSIVE_LEVEL.
    pub fn free_async_context(&self, context: Option<AsyncContext<Operation>>) {
        if let Some(context) = context {
            drop(context);
            self.counters.async_contexts_live.down();
        }
    }

    /// Keeps an async context for a while because a call on it was refused: whether such a call can
    /// call back is not documented. IRQL: PASSIVE_LEVEL.
    pub fn quarantine(&self, context: Option<AsyncContext<Operation>>) {
        let Some(context) = context else { return };
        self.counters.quarantined_live.up();
        match try_box(context) {
            Ok(mut context) => {
                let mut kept = self.quarantine.lock();
                kept.policy.add();
                context.next = kept.young.take();
                kept.young = Some(context);
            }
            // Without memory for the list it is never freed: a leak is better than a late callback
            // into freed memory.
            Err(context) => core::mem::forget(context),
        }
    }

    /// Whether the quarantine is full, after what has been there long enough has gone.
    fn is_quarantine_full(&self) -> bool {
        let (gone, full) = {
            let mut kept = self.quarantine.lock();
            let gone = if kept.policy.turn(nt::unbiased_time()) {
                let young = kept.young.take();
                core::mem::replace(&mut kept.old, young)
            } else {
                None
            };
            (gone, kept.policy.is_full())
        };
        self.free_list(gone);
        full
    }

    fn free_list(&self, mut list: List) {
        while let Some(mut context) = list {
            list = context.next.take();
            self.counters.quarantined_live.down();
            self.free_async_context(Some(*context));
        }
    }
}
