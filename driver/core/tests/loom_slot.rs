//! Every interleaving of the parties to one call inside ksecdd: the issuer, to whom the call returns
//! or is refused, SSPI's callback, and the watchdog, over the transitions that ship. Explored whole.
//!
//! The async context is a cell that the checker watches: the watchdog reads it while it looks, and
//! whoever goes on with the operation writes to it, as `SspiReinitAsyncContext` does.

mod watched;

use loom::{
    cell::UnsafeCell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use tlsgate_core::slot::{Call, CallSlot, CalledBack, PollEnd, Verdict};
use watched::{Watched, explore};

struct World {
    slot: CallSlot<Watched>,
    /// The operation of the call that the slot holds.
    operation: UnsafeCell<Option<Arc<()>>>,
    /// ksecdd's object, read by whoever asks it for a status.
    context: UnsafeCell<usize>,
    /// How often an operation was gone on with.
    gone_on: AtomicUsize,
    taken_over: AtomicUsize,
    strays: AtomicUsize,
}

// SAFETY: the cells are handed over by the slot; the checker fails the test where that is not so.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            slot: CallSlot::new(),
            operation: UnsafeCell::new(None),
            context: UnsafeCell::new(0),
            gone_on: AtomicUsize::new(0),
            taken_over: AtomicUsize::new(0),
            strays: AtomicUsize::new(0),
        })
    }

    /// The issuer, up to its call.
    fn arm(&self) -> Call {
        // SAFETY: no call is in the slot.
        self.operation
            .with_mut(|cell| unsafe { *cell = Some(Arc::new(())) });
        self.slot.arm().expect("a slot without a call")
    }

    /// The issuer, when its call was queued and has returned.
    fn returned(&self) {
        if self.slot.returned() {
            self.go_on();
        }
    }

    /// Whoever was given the operation: it alone may touch the context.
    fn go_on(&self) {
        self.take();
        // SAFETY: the slot has given operation and context to the caller alone.
        self.context.with_mut(|cell| unsafe { *cell += 1 });
    }

    fn take(&self) {
        // SAFETY: the slot has given the operation to the caller alone.
        let operation = self.operation.with_mut(|cell| unsafe { (*cell).take() });
        assert!(operation.is_some(), "someone else has it");
        self.gone_on.fetch_add(1, Ordering::AcqRel);
    }

    fn callback(&self) -> CalledBack {
        let what = self.slot.called_back();
        match what {
            CalledBack::GoOn => self.go_on(),
            CalledBack::LeaveIt => {}
            CalledBack::Stray => {
                self.strays.fetch_add(1, Ordering::AcqRel);
            }
        }
        what
    }

    /// The watchdog, with what it will find.
    fn look(&self, call: Call, verdict: Verdict) {
        if !self.slot.poll_begin(call) {
            return;
        }
        // SAFETY: while it is looked at the context stays, and nobody writes to it.
        self.context.with(|cell| unsafe { *cell });
        match self.slot.poll_end(verdict) {
            PollEnd::Nothing => {}
            PollEnd::GoOn => self.go_on(),
            // The context may yet be called back with: it is left alone.
            PollEnd::TakenOver => {
                self.taken_over.fetch_add(1, Ordering::AcqRel);
                self.take();
            }
        }
    }

    fn count(&self) -> (usize, usize, usize) {
        (
            self.gone_on.load(Ordering::Acquire),
            self.taken_over.load(Ordering::Acquire),
            self.strays.load(Ordering::Acquire),
        )
    }
}

fn spawn(world: &Arc<World>, act: impl FnOnce(&World) + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || act(&world))
}

/// A call that is queued: callback, returning call and watchdog at once.
fn queued(verdict: Verdict) {
    explore(None, move || {
        let world = World::new();
        let call = world.arm();
        let callback = spawn(&world, |world| {
            let _ = world.callback();
        });
        let watchdog = spawn(&world, move |world| world.look(call, verdict));
        world.returned();
        callback.join().unwrap();
        watchdog.join().unwrap();
        let (gone_on, taken_over, strays) = world.count();
        assert_eq!(gone_on, 1, "one party goes on, and one only");
        assert_eq!(
            strays, taken_over,
            "a late callback, and no other, is stray"
        );
        assert_eq!(
            world.slot.arm().is_some(),
            taken_over == 0,
            "the slot can be used again unless it lost a call"
        );
    });
}

#[test]
fn a_watchdog_that_finds_the_call_pending() {
    queued(Verdict::StillPending);
}

#[test]
fn a_watchdog_that_finds_the_callback_lost() {
    queued(Verdict::Lost);
}

/// The callback never comes: only the watchdog ends the call.
#[test]
fn a_callback_that_never_comes() {
    explore(None, || {
        let world = World::new();
        let call = world.arm();
        let watchdog = spawn(&world, move |world| world.look(call, Verdict::Lost));
        world.returned();
        watchdog.join().unwrap();
        world.look(call, Verdict::Lost);
        assert_eq!(world.count(), (1, 1, 0));
        assert_eq!(world.slot.arm(), None);
    });
}

/// A refused call, with a callback all the same, under a watchdog that was told of it too early.
#[test]
fn a_refused_call() {
    explore(None, || {
        let world = World::new();
        let call = world.arm();
        let callback = spawn(&world, |world| {
            assert_ne!(world.callback(), CalledBack::GoOn);
        });
        let watchdog = spawn(&world, move |world| world.look(call, Verdict::Lost));
        let _called_back = world.slot.refused();
        world.go_on();
        callback.join().unwrap();
        watchdog.join().unwrap();
        let (gone_on, taken_over, _) = world.count();
        assert_eq!((gone_on, taken_over), (1, 0));
        assert!(world.slot.arm().is_some());
    });
}

/// Two watchdogs, one of them late: what it knows of is over, and the next call is not its affair.
#[test]
fn a_late_watchdog_does_not_judge_the_next_call() {
    explore(None, || {
        let world = World::new();
        let first = world.arm();
        let late = spawn(&world, move |world| {
            world.look(first, Verdict::StillPending);
        });
        let callback = spawn(&world, |world| {
            // The first call's callback; when it goes on, it issues the next, which stays out.
            if world.callback() == CalledBack::GoOn {
                let next = world.arm();
                world.returned();
                world.look(next, Verdict::StillPending);
            }
        });
        world.returned();
        late.join().unwrap();
        callback.join().unwrap();
        assert_eq!(world.count(), (1, 0, 0));
        // Unless another party went on with the first: then there is no next.
        world.look(first, Verdict::Lost);
        assert_eq!(world.count(), (1, 0, 0), "it was over");
        let _ = world.callback();
    });
}
