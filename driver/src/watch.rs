//! The watch: gives requests up when their time has run out, and looks after calls that do not come
//! back.
//!
//! One thread of the driver's own sleeps most of the time. Nothing it does ends a call: ksecdd's calls
//! cannot be cancelled, so a request that is given up leaves its operation where it is, an orphan.

use crate::{
    gate::{Gate, units},
    kmdf::spin_lock::SpinLock,
    nt::{self, event::Event, thread::Thread},
    operation::Operation,
    pending::Pending,
    shared::Shared,
    sspi::{Completed, Polled, Watcher},
    trace,
};
use core::{
    pin::Pin,
    ptr,
    sync::atomic::{AtomicU64, Ordering},
};
use tlsgate_core::{
    settings::Settings,
    wheel::{Expired, Key, TICK, Wheel},
};
use tlsgate_protocol::NtStatus;
use wdk_sys::PVOID;

/// What is watched, and the thread that does it.
pub struct Watch {
    wheel: SpinLock<Wheel<Watched>>,
    stop: Event,
    thread: SpinLock<Option<Thread>>,
}

enum Watched {
    /// A request whose time runs out.
    Request(Shared<Pending>),
    /// A call inside ksecdd.
    Call(Call),
}

struct Call {
    watcher: Watcher<Operation>,
    /// The request it is for, if any.
    pending: Option<Shared<Pending>>,
    /// When it was issued.
    since: u64,
    /// When its final status was first seen without its callback.
    finished: Option<u64>,
    is_slow: bool,
    is_lost: bool,
}

impl Watch {
    /// No thread yet. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// The framework has no locks, or there is no memory.
    pub fn new() -> Result<Self, NtStatus> {
        let mut wheel = Wheel::new();
        // Its slots, which are made once: not under the lock.
        wheel
            .reserve()
            .map_err(|_| NtStatus::STATUS_INSUFFICIENT_RESOURCES)?;
        wheel.unreserve();
        Ok(Self {
            wheel: SpinLock::new(wheel)?,
            stop: Event::new(),
            thread: SpinLock::new(None)?,
        })
    }

    /// Starts the thread. IRQL: PASSIVE_LEVEL. On failure, [`Self::stop`] follows.
    ///
    /// # Errors
    ///
    /// A thread cannot be had.
    pub fn start(self: Pin<&'static Self>, gate: &'static Gate) -> Result<(), NtStatus> {
        Pin::static_ref(&self.get_ref().stop).initialize();
        let context: PVOID = ptr::from_ref(gate).cast_mut().cast();
        let thread = Thread::start(run, context)?;
        *self.thread.lock() = Some(thread);
        gate.counters.threads_live.up();
        Ok(())
    }

    /// Ends the thread and waits for it. IRQL: PASSIVE_LEVEL, from unload, when no operation is left.
    pub fn stop(self: Pin<&'static Self>) {
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            Pin::static_ref(&self.get_ref().stop).set();
            thread.join();
        }
    }

    /// Gives a request up when it is `due`, in unbiased time. The key is for [`Self::forget`]. IRQL: up
    /// to DISPATCH_LEVEL. `None` when there is no memory.
    pub fn request(&self, due: u64, pending: Shared<Pending>) -> Option<Key> {
        add(&mut self.wheel.lock(), due, Watched::Request(pending))
    }

    /// Looks after a call that is about to be made. Without memory it is not watched: that must not
    /// keep anything from being closed. IRQL: up to DISPATCH_LEVEL.
    pub fn call(
        &self,
        settings: &Settings,
        watcher: Watcher<Operation>,
        pending: Option<Shared<Pending>>,
    ) {
        let now = nt::unbiased_time();
        let call = Call {
            watcher,
            pending,
            since: now,
            finished: None,
            is_slow: false,
            is_lost: false,
        };
        self.look_again(now, settings, call);
    }

    /// Forgets what `cell` holds the key of. IRQL: up to DISPATCH_LEVEL.
    pub fn forget(&self, cell: &AtomicU64) {
        let gone = {
            let mut wheel = self.wheel.lock();
            // Under the lock: `look_again` looks at the call and leaves its key as one step.
            let key = Key::from_raw(cell.swap(0, Ordering::AcqRel));
            key.and_then(|key| wheel.remove(key))
                .inspect(|_| wheel.unreserve())
        };
        // Dropped outside the lock.
        drop(gone);
    }

    fn look_again(&self, now: u64, settings: &Settings, call: Call) {
        let watcher = call.watcher.clone();
        let slow = call.since.saturating_add(units(settings.slow_ms));
        let mut due = now.saturating_add(units(settings.lost_callback_ms));
        if !call.is_slow {
            due = due.min(slow);
        }
        let mut wheel = self.wheel.lock();
        if watcher.is_current()
            && let Some(key) = add(&mut wheel, due, Watched::Call(call))
        {
            watcher.cell().store(key.raw(), Ordering::Release);
        }
    }

    /// One entry whose time has come. `More` asks to be called again.
    fn next(&self, now: u64) -> Expired<Watched> {
        let mut wheel = self.wheel.lock();
        let next = wheel.expired(now);
        if matches!(next, Expired::One(_)) {
            wheel.unreserve();
        }
        next
    }
}

fn add(wheel: &mut Wheel<Watched>, due: u64, value: Watched) -> Option<Key> {
    wheel.reserve().ok()?;
    let inserted = wheel.insert(due, value);
    if inserted.is_err() {
        wheel.unreserve();
    }
    inserted.ok()
}

/// The thread's life. IRQL: PASSIVE_LEVEL.
///
/// # Safety
///
/// Started by [`Watch::start`] with the gate, which outlives the thread.
unsafe extern "C" fn run(context: PVOID) {
    // SAFETY: this function's contract.
    let gate: &'static Gate = unsafe { &*context.cast::<Gate>() };
    let watch = &gate.watch;
    let stop = Pin::static_ref(&watch.stop);
    while !stop.wait_for(TICK) {
        let now = nt::unbiased_time();
        loop {
            match watch.next(now) {
                Expired::One(Watched::Request(pending)) => pending.time_out(),
                Expired::One(Watched::Call(call)) => look(gate, now, call),
                Expired::More => {}
                Expired::Nothing => break,
            }
        }
        gate.issuers.look();
        gate.quarantine.sweep(gate);
    }
}

impl Call {
    /// Its callback has not come.
    fn lose(&mut self, gate: &Gate) {
        self.is_lost = true;
        gate.counters.callbacks_lost.up();
        trace::callback_lost(self.session());
    }

    /// The session it is of, 0 for none.
    fn session(&self) -> u64 {
        self.pending
            .as_ref()
            .and_then(|pending| pending.session())
            .map_or(0, |session| session.number)
    }
}

/// A call has not come back for a while.
fn look(gate: &'static Gate, now: u64, mut call: Call) {
    let settings = &gate.settings;
    let waited_for_callback = call
        .finished
        .map_or(0, |finished| now.saturating_sub(finished));
    let is_over_due = waited_for_callback >= units(settings.lost_callback_ms);
    match call.watcher.poll(is_over_due) {
        Polled::Over => return,
        Polled::GoOn(operation, status) => {
            return Operation::completed(operation, status);
        }
        Polled::TakenOver(operation, status) => {
            if !call.is_lost {
                call.lose(gate);
            }
            return Operation::completed(operation, status);
        }
        Polled::Working => call.finished = None,
        Polled::Final => {
            call.finished.get_or_insert(now);
            if is_over_due && !call.is_lost {
                call.lose(gate);
                if let Some(pending) = &call.pending {
                    let _orphan = pending.give_up(NtStatus::STATUS_INTERNAL_ERROR, "callback lost");
                }
            }
        }
    }
    let elapsed = now.saturating_sub(call.since);
    if elapsed >= units(settings.slow_ms) && !call.is_slow {
        call.is_slow = true;
        gate.counters.slow_calls.up();
        trace::leg_slow(call.session(), elapsed / 10);
    }
    gate.watch.look_again(now, settings, call);
}
