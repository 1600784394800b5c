//! Every interleaving of the parties to a leg, over the transitions that ship.
//!
//! Parties: dispatch and issuer (one thread), SSPI's callback, KMDF's cancel callback, and handle
//! clean-up, which gives the request up and closes the session. The model of KMDF arbitrates
//! between unmark and cancel as its documentation says; the operation is kept in a cell that the
//! checker watches for races, and in an `Arc` that it watches for leaks.

mod watched;

use loom::{
    cell::UnsafeCell,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use tlsgate_core::{
    session::{Phase, State},
    slot::{CallSlot, CalledBack},
    ticket::{Abandoned, Begin, Completer, Ticket},
    usage::{Usage, Use},
};
use watched::Watched;

/// KMDF's side of one request.
#[derive(Default)]
struct Request {
    marked: bool,
    cancelled: bool,
    completions: u32,
}

/// What the issuer's call of SSPI does.
#[derive(Clone, Copy, PartialEq)]
enum Sspi {
    /// Accepts, and calls back before it returns, on the caller's thread.
    Inline,
    /// Accepts, and calls back on a thread of its own at any time.
    Elsewhere,
    /// Refuses, and does not call back.
    Refuses,
    /// Refuses, and calls back all the same.
    RefusesAndCallsBack,
}

struct World {
    request: Mutex<Request>,
    ticket: Ticket<Watched>,
    slot: CallSlot<Watched>,
    /// Written by whoever owns the operation, before arming and after taking.
    operation: UnsafeCell<Option<Arc<()>>>,
    usage: Usage<Watched>,
    state: State<Watched>,
    deletions: AtomicUsize,
    orphans: Mutex<isize>,
}

// The cell is handed over by the slot; the checker fails the test where that is not so.
// SAFETY: see above.
unsafe impl Send for World {}
// SAFETY: see above.
unsafe impl Sync for World {}

impl World {
    fn new() -> Self {
        Self {
            request: Mutex::new(Request::default()),
            ticket: Ticket::new(),
            slot: CallSlot::new(),
            operation: UnsafeCell::new(None),
            usage: Usage::new(),
            state: State::new(),
            deletions: AtomicUsize::new(0),
            orphans: Mutex::new(0),
        }
    }

    // KMDF.

    fn unmark(&self) -> bool {
        let mut request = self.request.lock().unwrap();
        assert_eq!(request.completions, 0, "unmarked after completion");
        let won = request.marked && !request.cancelled;
        request.marked &= !won;
        won
    }

    fn complete(&self) {
        self.request.lock().unwrap().completions += 1;
    }

    /// The I/O manager cancels the request: the driver's callback runs if it is marked.
    fn cancel(&self) {
        {
            let mut request = self.request.lock().unwrap();
            if request.completions > 0 || request.cancelled {
                return;
            }
            request.cancelled = true;
            // Unmarked by a winner, who completes it.
            if !request.marked {
                return;
            }
        }
        self.state.fail();
        let (completer, place) = self.ticket.cancelled();
        self.count(place);
        if completer == Completer::Me {
            self.complete();
        }
    }

    // The driver.

    fn count(&self, place: Abandoned) {
        if place == Abandoned::Orphaned {
            *self.orphans.lock().unwrap() += 1;
        }
    }

    /// Claims and unmarks the request; `then` runs if it is the caller's to complete.
    fn conclude(&self, then: impl FnOnce(&Self)) {
        if !self.ticket.claim() {
            return;
        }
        if self.unmark() {
            then(self);
            self.complete();
        } else if self.ticket.unmark_failed() == Completer::Me {
            self.complete();
        }
    }

    fn clean_up(&self) {
        self.conclude(|world| {
            world.state.fail();
            world.count(world.ticket.abandon());
        });
        if self.usage.close() {
            self.delete();
        }
    }

    fn delete(&self) {
        self.deletions.fetch_add(1, Ordering::AcqRel);
    }

    fn release(&self) {
        if self.usage.release(Use::Leg) {
            self.delete();
        }
    }

    fn issue(world: &Arc<Self>, operation: Arc<()>, sspi: Sspi) {
        if world.ticket.begin() == Begin::Abandoned {
            drop(operation);
            world.release();
            return;
        }
        world.put(operation);
        let armed = world.slot.arm();
        assert!(armed.is_some(), "the context is in exclusive use");
        let callback = match sspi {
            Sspi::Inline => {
                world.callback();
                None
            }
            Sspi::Elsewhere | Sspi::RefusesAndCallsBack => {
                let world = Arc::clone(world);
                Some(thread::spawn(move || world.callback()))
            }
            Sspi::Refuses => None,
        };
        if matches!(sspi, Sspi::Refuses | Sspi::RefusesAndCallsBack) {
            let _called_back = world.slot.refused();
            world.finish(world.get_back(), false);
        } else if world.slot.returned() {
            world.finish(world.get_back(), true);
        }
        if let Some(callback) = callback {
            callback.join().unwrap();
        }
    }

    fn put(&self, operation: Arc<()>) {
        // SAFETY: the exclusive use of the context is ours and the slot is not armed.
        self.operation
            .with_mut(|cell| unsafe { *cell = Some(operation) });
    }

    fn get_back(&self) -> Arc<()> {
        // SAFETY: the slot has just given the operation to us alone.
        self.operation
            .with_mut(|cell| unsafe { (*cell).take() })
            .expect("an operation")
    }

    fn callback(&self) {
        if self.slot.called_back() == CalledBack::GoOn {
            self.finish(self.get_back(), true);
        }
    }

    fn finish(&self, operation: Arc<()>, good: bool) {
        if self.ticket.returned() {
            *self.orphans.lock().unwrap() -= 1;
        }
        if good {
            let _ = self.state.establish();
        } else {
            self.state.fail();
        }
        drop(operation);
        self.release();
        self.conclude(|_| ());
    }
}

/// Two parties are explored whole. More have more interleavings than a test has time for: of those
/// with more than three forced switches none is tried (loom's manual: two or three find nearly all
/// faults). `LOOM_MAX_PREEMPTIONS` raises the bound.
fn explorer(parties: usize) -> loom::model::Builder {
    let mut builder = loom::model::Builder::new();
    if parties > 2 && builder.preemption_bound.is_none() {
        builder.preemption_bound = Some(3);
    }
    builder
}

/// One leg under `sspi`, while the request may be cancelled and its handle cleaned up.
fn explore(sspi: Sspi, cancel: bool, clean_up: bool) {
    let threads = 1 + usize::from(cancel) + usize::from(clean_up);
    let callback = matches!(sspi, Sspi::Elsewhere | Sspi::RefusesAndCallsBack);
    explorer(threads + usize::from(callback)).check(move || {
        let world = Arc::new(World::new());
        // Dispatch: use right, marked cancelable, all before anything else can see it.
        world.usage.acquire(Use::Leg).unwrap();
        world.request.lock().unwrap().marked = true;
        let mut others = Vec::new();
        for (wanted, act) in [
            (cancel, World::cancel as fn(&World)),
            (clean_up, World::clean_up as fn(&World)),
        ] {
            if wanted {
                let world = Arc::clone(&world);
                others.push(thread::spawn(move || act(&world)));
            }
        }
        World::issue(&world, Arc::new(()), sspi);
        for other in others {
            other.join().unwrap();
        }
        // The handle goes in the end, if it has not gone before.
        if !clean_up {
            world.clean_up();
        }
        assert_eq!(
            world.request.lock().unwrap().completions,
            1,
            "completed exactly once"
        );
        assert_eq!(
            world.deletions.load(Ordering::Acquire),
            1,
            "deleted exactly once"
        );
        assert_eq!(*world.orphans.lock().unwrap(), 0, "no orphan is forgotten");
        assert!(world.slot.arm().is_some(), "nothing is left inside ksecdd");
        if !cancel && !clean_up && matches!(sspi, Sspi::Inline | Sspi::Elsewhere) {
            assert_eq!(world.state.phase(), Phase::Established);
        }
    });
}

#[test]
fn callback_inline() {
    explore(Sspi::Inline, true, true);
}

#[test]
fn callback_elsewhere_against_cancel() {
    explore(Sspi::Elsewhere, true, false);
}

#[test]
fn callback_elsewhere_against_clean_up() {
    explore(Sspi::Elsewhere, false, true);
}

#[test]
fn callback_elsewhere_against_both() {
    explore(Sspi::Elsewhere, true, true);
}

#[test]
fn refused_call_against_cancel_and_clean_up() {
    explore(Sspi::Refuses, true, true);
}

#[test]
fn refused_call_that_calls_back() {
    explore(Sspi::RefusesAndCallsBack, true, false);
    explore(Sspi::RefusesAndCallsBack, false, true);
}

#[test]
fn nobody_interferes() {
    for sspi in [
        Sspi::Inline,
        Sspi::Elsewhere,
        Sspi::Refuses,
        Sspi::RefusesAndCallsBack,
    ] {
        explore(sspi, false, false);
    }
}

/// SEAL beside UNSEAL beside a leg that is refused, while the session closes: one deletion.
#[test]
fn a_context_is_deleted_once_after_its_last_use() {
    explorer(4).check(|| {
        let usage = Arc::new(Usage::<Watched>::new());
        let deletions = Arc::new(AtomicUsize::new(0));
        let users = [Use::Seal, Use::Unseal, Use::Leg].map(|kind| {
            let (usage, deletions) = (Arc::clone(&usage), Arc::clone(&deletions));
            thread::spawn(move || {
                if usage.acquire(kind).is_ok() && usage.release(kind) {
                    deletions.fetch_add(1, Ordering::AcqRel);
                }
            })
        });
        if usage.close() {
            deletions.fetch_add(1, Ordering::AcqRel);
        }
        for user in users {
            user.join().unwrap();
        }
        assert!(usage.acquire(Use::Query).is_err());
        assert_eq!(deletions.load(Ordering::Acquire), 1);
    });
}
