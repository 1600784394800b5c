//! Interleavings of the users of a credential and of who releases it: it is freed once, after its last use,
//! and the request that releases it is completed once, by the end or as deferred.

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
    closing::Closing,
    rundown::{Closed, Rundown},
};
use watched::{Watched, explore};

struct Credential {
    uses: Rundown<Watched>,
    /// What a use reads, and the freeing writes to.
    handle: UnsafeCell<bool>,
    /// The request to complete at the end.
    closer: Mutex<Option<Arc<()>>>,
    completed: AtomicUsize,
    freed: AtomicUsize,
}

// SAFETY: the cell is handed over by the uses; the checker fails the test where that is not so.
unsafe impl Send for Credential {}
// SAFETY: as above.
unsafe impl Sync for Credential {}

impl Credential {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            uses: Rundown::new(),
            handle: UnsafeCell::new(true),
            closer: Mutex::new(None),
            completed: AtomicUsize::new(0),
            freed: AtomicUsize::new(0),
        })
    }

    /// A use from beginning to end, if it may be.
    fn try_use(&self) -> bool {
        let begun = self.uses.acquire();
        if begun {
            self.end_use();
        }
        begun
    }

    fn end_use(&self) {
        // SAFETY: a use is open, so nobody writes.
        let exists = self.handle.with(|cell| unsafe { *cell });
        assert!(exists, "used after it was freed");
        if self.uses.release() {
            self.free();
        }
    }

    /// What an issuer does.
    fn free(&self) {
        let closer = self.take_closer();
        // SAFETY: no use is open, and none will be.
        self.handle.with_mut(|cell| unsafe { *cell = false });
        self.freed.fetch_add(1, Ordering::Relaxed);
        if closer.is_some() {
            self.completed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn release(&self) {
        if self.close_for(Arc::new(())).is_some() {
            self.completed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Closing for Credential {
    type Request = Arc<()>;

    fn put_closer(&self, request: Arc<()>) {
        *self.closer.lock().unwrap() = Some(request);
    }

    fn take_closer(&self) -> Option<Arc<()>> {
        self.closer.lock().unwrap().take()
    }

    fn close(&self) -> Closed {
        let closed = self.uses.close();
        if closed == Closed::Now {
            self.free();
        }
        closed
    }
}

/// So many users, of whom the first has begun before, while it is released.
fn released_under(users: usize, one_has_begun: bool) {
    explore((users > 1).then_some(3), move || {
        let credential = Credential::new();
        if one_has_begun {
            assert!(credential.uses.acquire());
        }
        let users: Vec<_> = (0..users)
            .map(|number| {
                let credential = Arc::clone(&credential);
                thread::spawn(move || {
                    if one_has_begun && number == 0 {
                        credential.end_use();
                    } else {
                        let _closed = credential.try_use();
                    }
                })
            })
            .collect();
        credential.release();
        assert!(!credential.try_use(), "used after it was closed");
        for user in users {
            user.join().unwrap();
        }
        assert_eq!(credential.freed.load(Ordering::Relaxed), 1);
        assert_eq!(credential.completed.load(Ordering::Relaxed), 1);
        assert_eq!(credential.close(), Closed::Before);
        assert_eq!(credential.freed.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn users_against_the_release() {
    released_under(1, false);
    released_under(2, false);
    released_under(3, false);
}

#[test]
fn a_last_use_against_the_release() {
    released_under(1, true);
    released_under(2, true);
    released_under(3, true);
}

/// Two close it: one of them, or the use, ends it.
#[test]
fn two_closers_and_a_user() {
    explore(None, || {
        let credential = Credential::new();
        let others = [Credential::release, |credential: &Credential| {
            let _closed = credential.try_use();
        }]
        .map(|act: fn(&Credential)| {
            let credential = Arc::clone(&credential);
            thread::spawn(move || act(&credential))
        });
        let _now_or_later = credential.close();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(credential.freed.load(Ordering::Relaxed), 1);
        // Of a request that comes second nothing is promised but that it is completed at most once: its
        // id was void.
        assert!(credential.completed.load(Ordering::Relaxed) <= 1);
    });
}
