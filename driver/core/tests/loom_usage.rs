//! Interleavings of the uses of a security context: SEAL, UNSEAL, a query, a leg, and its closing.
//!
//! What a use is a right to is a cell that the checker watches. A leg and the deletion write to the whole
//! context; SEAL and UNSEAL each write to one direction of it; a query only reads.

mod watched;

use loom::{
    cell::UnsafeCell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use tlsgate_core::usage::{Refused, Usage, Use};
use watched::{Watched, explore};

struct Context {
    usage: Usage<Watched>,
    handle: UnsafeCell<bool>,
    sealing: UnsafeCell<usize>,
    unsealing: UnsafeCell<usize>,
    deletions: AtomicUsize,
}

// SAFETY: the cells are handed over by the rights; the checker fails the test where that is not so.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            usage: Usage::new(),
            handle: UnsafeCell::new(true),
            sealing: UnsafeCell::new(0),
            unsealing: UnsafeCell::new(0),
            deletions: AtomicUsize::new(0),
        })
    }

    /// A use from beginning to end, if it may be.
    fn try_use(&self, kind: Use) -> Result<(), Refused> {
        self.usage.acquire(kind)?;
        match kind {
            Use::Leg => self.write_all(true),
            Use::Seal => self.write(&self.sealing),
            Use::Unseal => self.write(&self.unsealing),
            Use::Query => self.read(),
        }
        if self.usage.release(kind) {
            self.delete();
        }
        Ok(())
    }

    fn close(&self) {
        if self.usage.close() {
            self.delete();
        }
    }

    fn delete(&self) {
        self.write_all(false);
        self.deletions.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) {
        // SAFETY: a use is open, so nobody writes.
        let exists = self.handle.with(|cell| unsafe { *cell });
        assert!(exists, "used after its deletion");
    }

    fn write(&self, direction: &UnsafeCell<usize>) {
        self.read();
        // SAFETY: there is one use of this kind at a time.
        direction.with_mut(|cell| unsafe { *cell += 1 });
    }

    fn write_all(&self, stays: bool) {
        self.read();
        // SAFETY: no other use is open.
        self.handle.with_mut(|cell| unsafe { *cell = stays });
        for direction in [&self.sealing, &self.unsealing] {
            // SAFETY: as above.
            direction.with_mut(|cell| unsafe { *cell += 1 });
        }
    }

    fn spawn(context: &Arc<Self>, kind: Use) -> thread::JoinHandle<()> {
        let context = Arc::clone(context);
        thread::spawn(move || {
            let _busy_or_closing = context.try_use(kind);
        })
    }
}

/// These uses at once, while the context is closed.
fn closed_under(kinds: &'static [Use]) {
    explore(
        [None, Some(3), Some(3), Some(2)][kinds.len() - 1],
        move || {
            let context = Context::new();
            let users: Vec<_> = kinds
                .iter()
                .map(|kind| Context::spawn(&context, *kind))
                .collect();
            context.close();
            for kind in [Use::Leg, Use::Seal, Use::Unseal, Use::Query] {
                let late = context.try_use(kind);
                assert_eq!(late, Err(Refused::Closing), "begun after the closing");
            }
            for user in users {
                user.join().unwrap();
            }
            context.close();
            assert_eq!(context.deletions.load(Ordering::Relaxed), 1);
        },
    );
}

#[test]
fn each_use_against_the_closing() {
    closed_under(&[Use::Leg]);
    closed_under(&[Use::Seal]);
    closed_under(&[Use::Unseal]);
    closed_under(&[Use::Query]);
}

#[test]
fn two_uses_against_the_closing() {
    closed_under(&[Use::Seal, Use::Unseal]);
    closed_under(&[Use::Seal, Use::Seal]);
    closed_under(&[Use::Unseal, Use::Unseal]);
    closed_under(&[Use::Leg, Use::Query]);
    closed_under(&[Use::Leg, Use::Leg]);
    closed_under(&[Use::Query, Use::Query]);
}

/// The five that a session can have at once.
#[test]
fn seal_unseal_query_and_leg_against_the_closing() {
    closed_under(&[Use::Seal, Use::Unseal, Use::Query, Use::Leg]);
}

/// Nobody closes: a use that was refused finds its right free when the others have ended, and nothing is
/// deleted.
#[test]
fn what_is_not_closed_stays() {
    explore(Some(3), || {
        let context = Context::new();
        let users = [Use::Seal, Use::Leg].map(|kind| Context::spawn(&context, kind));
        let _busy = context.try_use(Use::Unseal);
        for user in users {
            user.join().unwrap();
        }
        assert_eq!(context.try_use(Use::Leg), Ok(()));
        assert_eq!(context.deletions.load(Ordering::Relaxed), 0);
    });
}
