//! Every interleaving of the parties to a leg, over the source that ships.
//!
//! Parties: dispatch and issuer (one thread), SSPI's callback, KMDF's cancel callback, and handle
//! clean-up, which gives the request up and closes the session. The model of KMDF arbitrates
//! between unmark and cancel as its documentation says; the operation is kept in a cell that the
//! checker watches for races, and in an `Arc` that it watches for leaks.

mod kmdf;
mod watched;

use kmdf::Request;
use loom::{
    cell::UnsafeCell,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};
use tlsgate_core::{
    belongings::{Belongings, CleanUp},
    parties::Parties,
    session::{Phase, State},
    slot::{CallSlot, CalledBack},
    ticket::{Begin, Ticket},
    usage::{Usage, Use},
    word::Word,
};
use watched::{Watched, explore};

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
    request: Request,
    ticket: Ticket<Watched>,
    slot: CallSlot<Watched>,
    /// Written by whoever owns the operation, before arming and after taking.
    operation: UnsafeCell<Option<Arc<()>>>,
    usage: Usage<Watched>,
    state: State<Watched>,
    deletions: AtomicUsize,
    orphans: Watched,
    /// The handle's: this request, and this session.
    belongings: Mutex<Belongings<(), (), Arc<World>>>,
    /// The request's number in there; 0 before it is there.
    number: AtomicU64,
}

// The cell is handed over by the slot; the checker fails the test where that is not so.
// SAFETY: see above.
unsafe impl Send for World {}
// SAFETY: see above.
unsafe impl Sync for World {}

/// What the rim brings for a request.
impl Parties for World {
    type Word = Watched;

    fn ticket(&self) -> &Ticket<Watched> {
        &self.ticket
    }
    fn forget(&self) {
        match self.number.swap(0, Ordering::AcqRel) {
            0 => {}
            number => drop(self.with(|own| own.pending.remove(number))),
        }
    }
    fn unmark(&self) -> bool {
        self.request.unmark()
    }
    fn complete_cancelled(&self) {
        self.request.complete();
    }
    fn fail_session(&self) {
        self.state.fail();
    }
    fn orphan_more(&self) {
        let _before = self.orphans.update(|count| count.checked_add(1)).unwrap();
    }
    fn orphan_less(&self) {
        let before = self.orphans.update(|count| count.checked_sub(1));
        assert!(before.is_ok(), "fewer orphans than none");
    }
    fn tell_orphan(&self) {}
}

/// What the rim brings for a handle.
impl CleanUp for World {
    type Credential = ();
    type Session = ();
    type Pending = Arc<World>;

    fn with<R>(&self, act: impl FnOnce(&mut Belongings<(), (), Arc<World>>) -> R) -> R {
        act(&mut self.belongings.lock().unwrap())
    }
    fn give_up(&self, pending: Arc<World>) {
        let _place = Parties::give_up(&*pending, || pending.request.complete());
    }
    fn close_session(&self, (): ()) {
        if self.usage.close() {
            self.delete();
        }
    }
    fn close_credential(&self, (): ()) {}
}

impl World {
    /// A handle with a session.
    fn new() -> Arc<Self> {
        let mut belongings = Belongings::new(0, 1, 1);
        belongings.add(|own| &mut own.sessions, ()).unwrap();
        Arc::new(Self {
            request: Request::default(),
            ticket: Ticket::new(),
            slot: CallSlot::new(),
            operation: UnsafeCell::new(None),
            usage: Usage::new(),
            state: State::new(),
            deletions: AtomicUsize::new(0),
            orphans: Word::new(0),
            belongings: Mutex::new(belongings),
            number: AtomicU64::new(0),
        })
    }

    /// The I/O manager cancels the request: the driver's callback runs if it is marked.
    fn cancel(&self) {
        if self.request.cancel() {
            let _place = self.cancelled();
        }
    }

    /// Dispatch: the use right, then marked cancelable, then in the handle's table, all before anything is
    /// issued. The operation, if it is to be.
    fn pend(world: &Arc<Self>) -> Option<Arc<()>> {
        if world.usage.acquire(Use::Leg).is_err() {
            // The session is being closed.
            world.request.complete();
            return None;
        }
        let operation = Arc::new(());
        if !world.request.mark() {
            world.release();
            world.request.complete();
            return None;
        }
        let pending = Arc::clone(world);
        let added = world.with(|own| own.add(|own| &mut own.pending, pending));
        if let Ok(number) = added {
            // Not a store: the checker lets a swap elsewhere read what was there before one, and whoever comes
            // later read that swap, as if the store had never been.
            let _none = world.number.swap(number.get(), Ordering::AcqRel);
            return Some(operation);
        }
        // The clean-up was faster.
        world.conclude(|| world.request.complete());
        world.release();
        None
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
        if world.begin() == Begin::Abandoned {
            drop(operation);
            world.release();
            world.conclude(|| world.request.complete());
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
        self.returned();
        if good {
            let _ = self.state.establish();
        } else {
            self.state.fail();
        }
        drop(operation);
        self.release();
        self.conclude(|| self.request.complete());
    }
}

/// One leg under `sspi`, while the request may be cancelled and its handle cleaned up.
fn leg(sspi: Sspi, cancel: bool, clean_up: bool) {
    let threads = 1 + usize::from(cancel) + usize::from(clean_up);
    let callback = matches!(sspi, Sspi::Elsewhere | Sspi::RefusesAndCallsBack);
    let parties = threads + usize::from(callback);
    explore((parties > 2).then_some(3), move || {
        let world = World::new();
        let mut others = Vec::new();
        for (wanted, act) in [
            (cancel, World::cancel as fn(&World)),
            (clean_up, CleanUp::clean_up as fn(&World)),
        ] {
            if wanted {
                let world = Arc::clone(&world);
                others.push(thread::spawn(move || act(&world)));
            }
        }
        if let Some(operation) = World::pend(&world) {
            World::issue(&world, operation, sspi);
        }
        for other in others {
            other.join().unwrap();
        }
        let kept = world.with(|own| own.pending.len());
        assert_eq!(kept, 0, "a request that is over is in its handle's table");
        // The handle goes in the end, if it has not gone before.
        world.clean_up();
        let completions = world.request.completions();
        assert_eq!(completions, 1, "completed exactly once");
        let deletions = world.deletions.load(Ordering::Acquire);
        assert_eq!(deletions, 1, "deleted exactly once");
        assert_eq!(world.orphans.load(), 0, "no orphan is forgotten");
        assert!(world.slot.arm().is_some(), "nothing is left inside ksecdd");
        if !cancel && !clean_up && matches!(sspi, Sspi::Inline | Sspi::Elsewhere) {
            assert_eq!(world.state.phase(), Phase::Established);
        }
    });
}

#[test]
fn callback_inline() {
    leg(Sspi::Inline, true, true);
}

#[test]
fn callback_elsewhere_against_cancel() {
    leg(Sspi::Elsewhere, true, false);
}

#[test]
fn callback_elsewhere_against_clean_up() {
    leg(Sspi::Elsewhere, false, true);
}

#[test]
fn callback_elsewhere_against_both() {
    leg(Sspi::Elsewhere, true, true);
}

#[test]
fn refused_call_against_cancel_and_clean_up() {
    leg(Sspi::Refuses, true, true);
}

#[test]
fn refused_call_that_calls_back() {
    leg(Sspi::RefusesAndCallsBack, true, false);
    leg(Sspi::RefusesAndCallsBack, false, true);
}

#[test]
fn nobody_interferes() {
    for sspi in [
        Sspi::Inline,
        Sspi::Elsewhere,
        Sspi::Refuses,
        Sspi::RefusesAndCallsBack,
    ] {
        leg(sspi, false, false);
    }
}
