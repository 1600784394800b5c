//! One waker for both halves of a stream.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Wake, Waker},
};

/// Wakes the task that reads and the task that writes.
///
/// The halves of a TLS stream wait for one another: a post-handshake leg that reading started must
/// end before writing goes on, and the answer it produced is written by whoever comes first. So
/// either task may have to move what the other has begun, and both must hear of progress.
#[derive(Debug, Default)]
pub struct Wakers(Mutex<[Option<Waker>; 2]>);

/// Which half polls.
#[derive(Clone, Copy, Debug)]
pub enum Half {
    /// The one that reads.
    Read,
    /// The one that writes, flushes and shuts down.
    Write,
}

impl Wakers {
    /// Remembers the half's task and returns the waker that wakes both.
    pub fn register(self: &Arc<Self>, half: Half, waker: &Waker) -> Waker {
        let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut wakers[half as usize];
        match slot {
            Some(old) => old.clone_from(waker),
            None => *slot = Some(waker.clone()),
        }
        Waker::from(Arc::clone(self))
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        let wakers = {
            let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *wakers)
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn progress_wakes_both_halves_once() {
        let (reader, writer) = (Arc::<Count>::default(), Arc::<Count>::default());
        let wakers = Arc::<Wakers>::default();
        wakers.register(Half::Read, &Waker::from(Arc::clone(&reader)));
        let both = wakers.register(Half::Write, &Waker::from(Arc::clone(&writer)));
        both.wake_by_ref();
        both.wake();
        assert_eq!(
            (
                reader.0.load(Ordering::SeqCst),
                writer.0.load(Ordering::SeqCst)
            ),
            (1, 1)
        );
    }
}
