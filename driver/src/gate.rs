//! What there is once a driver: its settings, the issuers, the watch, the counters, the quarantine.

use crate::{
    counters::{Counter, Counters},
    issuers::{Issuers, MOST_THREADS},
    lists::Lists,
    memory::try_box,
    nt::{self, event::Event, thread},
    operation::Operation,
    parameters::Parameters,
    quarantine::{self, Quarantine},
    shared::Shared,
    sspi::{AsyncContext, Ready, look_up},
    trace,
    watch::Watch,
};
use alloc::boxed::Box;
use core::{
    num::NonZeroU32,
    pin::Pin,
    ptr,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering},
};
use tlsgate_core::{
    budget::Budget, life::Life, quarantine::Quarantine as Policy, queue::Limits, rundown::Rundown,
    settings::Settings,
};
use tlsgate_protocol::{NtStatus, payload::functions};

/// How long unload waits after the last callback has been heard of, for its `ret` (design,
/// invariant 4). Nothing tells a driver that a thread has left its code; the last statement of the
/// callback is microseconds before.
const GRACE_MILLISECONDS: u16 = 100;

/// How long it waits while async contexts are in quarantine: one of them might be calling back at this
/// very moment, and its thread might have been preempted.
const LONG_GRACE_MILLISECONDS: u16 = 2_000;

/// How often a waiting unload says so.
const UNLOAD_REPORT_MS: u32 = 1_000;

/// A driver-wide or a handle's quota.
pub type Quota = Budget<AtomicUsize>;

/// Everything that is not a handle's. Lives from `DriverEntry` to the end of EvtDriverUnload.
pub struct Gate {
    /// What an administrator has set.
    pub settings: Settings,
    /// [`functions`]: what they have switched off.
    pub switched_off: u32,
    /// The threads that make calls, and their queue.
    pub issuers: Issuers,
    /// The thread that looks after calls and deadlines.
    pub watch: Watch,
    /// Driver-wide quotas.
    pub quotas: Quotas,
    /// Which optional functions ksecdd.sys has, looked up when the driver was loaded.
    pub optional_exports: u32,
    /// Statistics. Apart, as the whole gate lies on the stack while it is made.
    pub counters: Box<Counters>,
    /// Orphans that count against the quota in all.
    pub orphans: Counter,
    /// Async contexts that may yet call back: of a call that was refused, or taken over.
    pub quarantine: Quarantine,
    /// Handles, and operations, those in reserve for closing included: what keeps the driver loaded.
    alive: Rundown<AtomicUsize>,
    /// Set when the last of them has gone.
    drained: Event,
    /// What legs, sessions and requests are made of. Goes last.
    pub lists: Lists,
}

/// What is bounded in all, whichever handle it is of.
pub struct Quotas {
    /// Open handles.
    pub handles: Quota,
    /// Sessions, those being deleted included.
    pub sessions: Quota,
    /// Credentials, those being freed included.
    pub credentials: Quota,
    /// Requests that pend.
    pub pending: Quota,
    /// Bytes of waiting input.
    pub bytes: Quota,
}

static GATE: AtomicPtr<Gate> = AtomicPtr::new(ptr::null_mut());

impl Gate {
    /// Makes the gate and starts its threads. IRQL: PASSIVE_LEVEL, from `DriverEntry`.
    ///
    /// # Errors
    ///
    /// There is no memory, or no thread.
    // In one with its caller's, the frame would be larger than a page, which takes a stack probe (`__chkstk`).
    #[inline(never)]
    pub fn open(parameters: &Parameters) -> Result<(), NtStatus> {
        let settings = parameters.settings;
        let limits = Limits {
            // Lanes of closed handles live on for a while.
            lanes: size(settings.handles).saturating_mul(2),
            registered: size(settings.operations),
            registered_per_lane: size(settings.operations_per_handle),
            inside: size(settings.inside),
            inside_least: size(settings.inside_least),
            inside_per_lane: size(settings.inside_per_handle),
            issuers: MOST_THREADS,
        };
        let policy = Policy::new(units(settings.quarantine_ms), size(settings.quarantined));
        let gate = Self {
            issuers: Issuers::new(limits)?,
            watch: Watch::new()?,
            quotas: Quotas {
                handles: Quota::new(size(settings.handles)),
                sessions: Quota::new(size(settings.sessions)),
                credentials: Quota::new(size(settings.credentials)),
                pending: Quota::new(size(settings.pending)),
                bytes: Quota::new(mebibytes(settings.input_mib)),
            },
            optional_exports: look_up(),
            counters: try_box(Counters::default())
                .map_err(|_| NtStatus::STATUS_INSUFFICIENT_RESOURCES)?,
            orphans: Counter::default(),
            quarantine: Quarantine::new(policy)?,
            alive: Rundown::new(),
            drained: Event::new(),
            lists: Lists::new()?,
            switched_off: switched_off(&settings),
            settings,
        };
        let gate = try_box(gate).map_err(|_| NtStatus::STATUS_INSUFFICIENT_RESOURCES)?;
        let gate = Box::into_raw(gate);
        GATE.store(gate, Ordering::Release);
        // SAFETY: just made; freed by `shut`, which nothing outlives.
        let gate: &'static Self = unsafe { &*gate };
        Pin::static_ref(&gate.drained).initialize();
        gate.counters.settings_ignored.at_least(parameters.ignored);
        let started = Pin::static_ref(&gate.issuers)
            .start(gate)
            .and_then(|()| Pin::static_ref(&gate.watch).start(gate));
        if started.is_err() {
            Self::shut();
        }
        started
    }

    /// The gate. `None` before it is open.
    pub fn get() -> Option<&'static Self> {
        // SAFETY: null, or the gate, which lives until nothing of the driver runs any more.
        unsafe { GATE.load(Ordering::Acquire).as_ref() }
    }

    /// Waits until every operation has ended, which is when every callback has come and everything
    /// has been closed, joins the threads, and frees the gate. IRQL: PASSIVE_LEVEL, from
    /// EvtDriverUnload, when no handle is open any more. But for the driver's own idle threads, the
    /// only place that waits.
    pub fn shut() {
        let Some(gate) = Self::get() else { return };
        Alive(gate).end();
        thread::sleep_milliseconds(if gate.quarantine.is_empty() {
            GRACE_MILLISECONDS
        } else {
            LONG_GRACE_MILLISECONDS
        });
        gate.quarantine.clear(gate);
        let gate = GATE.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: made by `open`; no thread, handle, session or credential is left to use it.
        drop(unsafe { Box::from_raw(gate) });
    }

    /// Counts an operation or a handle. False when the driver is being unloaded. IRQL: any.
    #[must_use]
    pub fn enter(&'static self) -> bool {
        Alive(self).enter()
    }

    /// The opposite of [`Self::enter`]. IRQL: up to DISPATCH_LEVEL.
    pub fn leave(&'static self) {
        Alive(self).leave();
    }

    /// Makes the async context in `place` ready for a call, or puts a fresh one there. IRQL:
    /// PASSIVE_LEVEL, on an issuer's thread. `None` when there is no memory.
    pub fn ready(
        &self,
        place: &mut Option<AsyncContext<Operation>>,
        share: &Shared<quarantine::Share>,
    ) -> Option<Ready<Operation>> {
        if let Some(context) = place {
            if let Some(ready) = context.ready() {
                return Some(ready);
            }
            if !context.is_lost() {
                self.counters.reinit_refused.up();
            }
        }
        let fresh = self.new_async_context()?;
        self.free_async_context(place.replace(fresh), share);
        place.as_mut()?.ready()
    }

    /// Makes an async context. IRQL: PASSIVE_LEVEL. `None` when there is no memory.
    fn new_async_context(&self) -> Option<AsyncContext<Operation>> {
        let context = AsyncContext::new(&self.lists.calls)?;
        self.counters.async_contexts_live.up();
        Some(context)
    }

    /// Makes the async context of a new session or credential. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// The quarantine is full, or the handle's share of it; or there is no memory.
    pub fn first_async_context(
        &self,
        share: &quarantine::Share,
    ) -> Result<AsyncContext<Operation>, NtStatus> {
        if !self.quarantine.may_begin(self, share) {
            self.counters.quota_refusals.up();
            return Err(NtStatus::STATUS_QUOTA_EXCEEDED);
        }
        self.new_async_context()
            .ok_or(NtStatus::STATUS_INSUFFICIENT_RESOURCES)
    }

    /// Frees an async context without a call inside; one whose call was taken over is kept for a while
    /// first. IRQL: PASSIVE_LEVEL.
    pub fn free_async_context(
        &self,
        context: Option<AsyncContext<Operation>>,
        share: &Shared<quarantine::Share>,
    ) {
        let Some(context) = context else { return };
        if context.is_lost() {
            self.quarantine.keep(self, context, share);
        } else {
            self.free_at_once(context);
        }
    }

    /// Frees an async context that nothing calls back on. IRQL: PASSIVE_LEVEL.
    pub fn free_at_once(&self, context: AsyncContext<Operation>) {
        drop(context);
        self.counters.async_contexts_live.down();
    }

    /// Keeps an async context for a while because a call on it was refused: whether such a call can
    /// call back is not documented. Not even where ksecdd says that it owes no callback does the context
    /// go at once: ksecdd may say so as soon as it begins to call. IRQL: PASSIVE_LEVEL.
    pub fn quarantine(
        &self,
        context: Option<AsyncContext<Operation>>,
        share: &Shared<quarantine::Share>,
    ) {
        let Some(context) = context else { return };
        self.quarantine.keep(self, context, share);
    }

    /// When a request that begins now, and whose caller asks for so many milliseconds, is given up, in
    /// unbiased time.
    pub fn due(&self, wanted: Option<NonZeroU32>) -> u64 {
        nt::unbiased_time().saturating_add(self.time_out(wanted))
    }

    /// When a request that closes something is given up, in unbiased time; what it has begun goes on.
    pub fn closing_due(&self) -> u64 {
        nt::unbiased_time().saturating_add(units(self.settings.handshake_most_ms))
    }

    /// Milliseconds until a handshake whose caller asks for `wanted` of them is given up, in the units
    /// of [`nt::unbiased_time`].
    pub fn time_out(&self, wanted: Option<NonZeroU32>) -> u64 {
        units(
            self.settings
                .handshake_timeout(wanted.map_or(0, NonZeroU32::get)),
        )
    }
}

/// The parts of the driver's life, for the policy in `tlsgate_core::life`.
struct Alive(&'static Gate);

impl Life for Alive {
    type Word = AtomicUsize;

    fn alive(&self) -> &Rundown<AtomicUsize> {
        &self.0.alive
    }

    fn drained(&self) {
        Pin::static_ref(&self.0.drained).set();
    }

    /// For the last callback, and says so now and then: code that may yet be called must not go. IRQL:
    /// PASSIVE_LEVEL, from unload.
    fn wait_until_drained(&self) {
        let drained = Pin::static_ref(&self.0.drained);
        while !drained.wait_for(units(UNLOAD_REPORT_MS)) {
            let (waiting, inside) = self.0.issuers.load();
            trace::unload_waiting(waiting.saturating_add(inside) as u64);
        }
    }

    fn stop_watch(&self) {
        Pin::static_ref(&self.0.watch).stop();
    }

    fn stop_issuers(&self) {
        Pin::static_ref(&self.0.issuers).stop();
    }
}

/// [`functions`] whose switch says so.
fn switched_off(settings: &Settings) -> u32 {
    [
        (settings.disable_acquire, functions::ACQUIRE),
        (settings.disable_accept, functions::ACCEPT),
        (settings.disable_connect, functions::CONNECT),
        (settings.disable_records, functions::RECORDS),
        (settings.disable_shutdown, functions::SHUTDOWN),
        (settings.disable_query, functions::QUERY),
    ]
    .iter()
    .filter(|(off, _)| *off != 0)
    .fold(0, |mask, (_, function)| mask | function)
}

/// Milliseconds in the units of interrupt time, 100 ns.
pub fn units(milliseconds: u32) -> u64 {
    u64::from(milliseconds).saturating_mul(10_000)
}

/// A setting as a size.
pub const fn size(setting: u32) -> usize {
    setting as usize
}

/// A setting in MiB, in bytes.
pub const fn mebibytes(setting: u32) -> usize {
    size(setting).saturating_mul(1024 * 1024)
}
