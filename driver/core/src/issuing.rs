//! How the issuers share their queue: who wakes whom, and how their threads end.
//!
//! A push wakes an issuer, unless so many wake-ups are on their way that every issuer will look after
//! it; an issuer works until nothing is left for it, then sleeps. Whoever ends the driver says so first,
//! then wakes them all.
//!
//! The rim brings the lock, the semaphore and the threads; the model checker brings its own. Nothing here
//! waits but [`Issuing::serve`], on an issuer's own thread, and [`Issuing::stop`], from unload.

use crate::{
    queue::{Lane, Queue},
    word::Word,
};

/// What the issuers' parts are, and what is made of them.
pub trait Issuing {
    /// The atomic.
    type Word: Word;
    /// What waits in the queue.
    type Operation;
    /// One of the threads.
    type Thread;

    /// Runs `act` with the queue, under its lock: nothing in it waits, or takes another lock.
    fn queue<R>(&self, act: impl FnOnce(&mut Queue<Self::Operation>) -> R) -> R;
    /// The time, in 100 ns units of a clock that does not stop.
    fn now(&self) -> u64;
    /// Not 0 when the threads are to end.
    fn stopping(&self) -> &Self::Word;
    /// Lets one more [`Self::wait`] end; called under the queue's lock, too.
    fn release_one(&self);
    /// Lets as many more end as there may be threads.
    fn release_all(&self);
    /// Waits for a release that no other wait has had.
    fn wait(&self);
    /// Takes a thread that is to be joined; none when there is none left.
    fn next_thread(&self) -> Option<Self::Thread>;
    /// Waits until a thread has ended.
    fn join(&self, thread: Self::Thread);

    /// Lets an operation wait for admission.
    ///
    /// # Errors
    ///
    /// It comes back if it was not registered in this lane.
    fn submit(&self, lane: Lane, operation: Self::Operation) -> Result<(), Self::Operation> {
        self.push(|queue| queue.wait(lane, operation))
    }

    /// Lets an operation take its next step, for which it needs no turn.
    ///
    /// # Errors
    ///
    /// It comes back if it was not registered.
    fn go_on(&self, operation: Self::Operation) -> Result<(), Self::Operation> {
        self.push(|queue| queue.go_on(operation))
    }

    /// Wakes under the lock: as soon as that is let go, the operation that was pushed may be over, and the
    /// driver with it.
    ///
    /// # Errors
    ///
    /// What `push` says.
    fn push<E>(
        &self,
        push: impl FnOnce(&mut Queue<Self::Operation>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.queue(|queue| {
            push(queue)?;
            if queue.wake() {
                self.release_one();
            }
            Ok(())
        })
    }

    /// An operation that was registered is gone; `admitted` if it had been let in.
    fn forget(&self, lane: Lane, admitted: bool) {
        let now = self.now();
        self.queue(|queue| {
            if admitted && queue.leave(lane, now) && queue.wake() {
                self.release_one();
            }
            queue.unregister(lane);
        });
    }

    /// Looks whether all calls hang, so that others may be made. To be called now and then.
    fn look(&self) {
        let now = self.now();
        self.queue(|queue| {
            if queue.look(now) && queue.wake() {
                self.release_one();
            }
        });
    }

    /// An issuer's life: `work` takes the next step of one operation after the other.
    fn serve(&self, work: impl Fn(Self::Operation)) {
        loop {
            self.wait();
            // Before the last look at the queue: what was pushed before the end was wanted is found.
            let is_last = self.stopping().load() != 0;
            self.queue(Queue::woken);
            while let Some(operation) = self.next() {
                work(operation);
            }
            if is_last {
                return;
            }
        }
    }

    /// The next operation to work on, if any.
    fn next(&self) -> Option<Self::Operation> {
        let now = self.now();
        self.queue(|queue| queue.take_next(now))
    }

    /// Ends the threads when they have worked off the queue, and waits for them.
    fn stop(&self) {
        self.stopping().set(1);
        // Taken one by one: joining waits, which no one may do under a lock.
        while let Some(thread) = self.next_thread() {
            // More than one release may be eaten by one thread; each pass adds enough for all.
            self.release_all();
            self.join(thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Limits;
    use core::{
        cell::{Cell, RefCell},
        sync::atomic::AtomicUsize,
    };

    struct Desk(RefCell<Queue<char>>, Cell<usize>, AtomicUsize, Cell<u64>);

    impl Desk {
        fn new(limits: Limits) -> Self {
            let queue = RefCell::new(Queue::new(limits));
            Self(queue, Cell::default(), AtomicUsize::new(0), Cell::default())
        }
    }

    impl Issuing for Desk {
        type Word = AtomicUsize;
        type Operation = char;
        type Thread = ();
        fn queue<R>(&self, act: impl FnOnce(&mut Queue<char>) -> R) -> R {
            act(&mut self.0.borrow_mut())
        }
        fn now(&self) -> u64 {
            self.3.get()
        }
        fn stopping(&self) -> &AtomicUsize {
            &self.2
        }
        fn release_one(&self) {
            self.1.set(self.1.get() + 1);
        }
        fn release_all(&self) {}
        fn wait(&self) {}
        fn next_thread(&self) -> Option<()> {
            None
        }
        fn join(&self, (): ()) {}
    }

    /// The models find a wake-up too few; one too many is found here.
    #[test]
    fn an_issuer_is_woken_for_work_and_for_nothing_else() {
        let limits = Limits {
            lanes: 1,
            registered: 4,
            registered_per_lane: 4,
            inside: 1,
            inside_least: 1,
            inside_per_lane: 1,
            issuers: 9,
        };
        let desk = Desk::new(limits);
        let woken = || desk.1.take();
        let lane = desk.queue(|queue| queue.open_lane().unwrap());
        assert_eq!(desk.submit(lane, 'x'), Err('x'), "there is no room");
        assert_eq!(desk.go_on('x'), Err('x'), "there is no room");
        assert_eq!(woken(), 0);
        (0..4).for_each(|_| desk.queue(|queue| queue.register(lane).unwrap()));
        assert_eq!(desk.submit(lane, 'a'), Ok(()));
        assert_eq!(woken(), 1);
        assert_eq!(desk.next(), Some('a'));
        assert_eq!(desk.go_on('a'), Ok(()));
        assert_eq!(woken(), 1);
        assert_eq!(desk.next(), Some('a'));
        desk.forget(lane, false);
        assert_eq!(woken(), 0, "it was not inside");
        desk.forget(lane, true);
        assert_eq!(woken(), 0, "nobody waits");
        assert_eq!(desk.submit(lane, 'b'), Ok(()));
        assert_eq!(desk.next(), Some('b'));
        assert_eq!(desk.submit(lane, 'c'), Ok(()));
        assert_eq!((woken(), desk.next()), (2, None));
        desk.forget(lane, true);
        assert_eq!(woken(), 1, "who waits is let in");
        desk.stop();
        assert_eq!(desk.2.load(core::sync::atomic::Ordering::Relaxed), 1);
    }
    #[test]
    fn an_issuer_is_woken_when_everything_hangs_and_somebody_waits() {
        let limits = Limits {
            lanes: 1,
            registered: 9,
            registered_per_lane: 9,
            inside: 9,
            inside_least: 1,
            inside_per_lane: 9,
            issuers: 99,
        };
        let desk = Desk::new(limits);
        let lane = desk.queue(|queue| queue.open_lane().unwrap());
        (0..9).for_each(|_| desk.queue(|queue| queue.register(lane).unwrap()));
        let look_later = || {
            desk.3.set(desk.3.get() + 10_000_000);
            desk.look();
        };
        look_later();
        assert_eq!(desk.1.take(), 0, "nobody waits");
        (0..9).for_each(|_| desk.submit(lane, 'a').unwrap());
        (0..8).for_each(|_| assert_eq!(desk.next(), Some('a')));
        assert_eq!((desk.1.take(), desk.next()), (9, None));
        desk.look();
        assert_eq!((desk.1.take(), desk.next()), (0, None), "too early");
        look_later();
        assert_eq!((desk.1.take(), desk.next()), (1, Some('a')));
    }
}
