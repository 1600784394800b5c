//! Admission to ksecdd: at most so many operations inside at a time, the rest wait their turn.
//!
//! A push never allocates: room is made by [`Queue::register`] when an operation comes into being,
//! so that closing and cleaning up cannot fail for want of memory.

use alloc::collections::VecDeque;

/// Operations that wait to be issued.
#[derive(Debug)]
pub struct Queue<T> {
    /// First calls, in order of arrival; they wait for admission.
    waiting: VecDeque<T>,
    /// Further steps of operations that have been admitted.
    admitted: VecDeque<T>,
    registered: usize,
    inside: usize,
    /// Wake-ups that no issuer has heard yet.
    wakes: usize,
    limits: Limits,
}

/// What a queue lets happen at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Operations that exist.
    pub registered: usize,
    /// Operations inside ksecdd.
    pub inside: usize,
    /// Issuers: more wake-ups than that are of no use.
    pub issuers: usize,
}

/// Why an operation cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// As many exist as may.
    TooMany,
    /// There is no memory.
    OutOfMemory,
}

impl<T> Queue<T> {
    /// An empty queue; allocates nothing.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            waiting: VecDeque::new(),
            admitted: VecDeque::new(),
            registered: 0,
            inside: 0,
            wakes: 0,
            limits,
        }
    }

    /// Sets the number of issuers, once it is known.
    pub const fn set_issuers(&mut self, issuers: usize) {
        self.limits.issuers = issuers;
    }

    /// Makes room for one more operation.
    ///
    /// # Errors
    ///
    /// There are too many, or there is no memory.
    pub fn register(&mut self) -> Result<(), Refused> {
        if self.registered >= self.limits.registered {
            return Err(Refused::TooMany);
        }
        let wanted = self.registered.saturating_add(1);
        for queue in [&mut self.waiting, &mut self.admitted] {
            let more = wanted.saturating_sub(queue.len());
            queue.try_reserve(more).map_err(|_| Refused::OutOfMemory)?;
        }
        self.registered = wanted;
        Ok(())
    }

    /// An operation that was registered has ended.
    pub fn unregister(&mut self) {
        self.registered = self.registered.saturating_sub(1);
    }

    /// A registered operation waits for admission.
    ///
    /// # Errors
    ///
    /// The operation comes back if there is no room for it: it was not registered.
    pub fn wait(&mut self, operation: T) -> Result<(), T> {
        push(&mut self.waiting, operation)
    }

    /// An admitted operation is to go on.
    ///
    /// # Errors
    ///
    /// As for [`Self::wait`].
    pub fn go_on(&mut self, operation: T) -> Result<(), T> {
        push(&mut self.admitted, operation)
    }

    /// The next operation to work on, if one may be worked on now.
    pub fn take_next(&mut self) -> Option<T> {
        if let Some(operation) = self.admitted.pop_front() {
            return Some(operation);
        }
        if self.inside >= self.limits.inside {
            return None;
        }
        let operation = self.waiting.pop_front()?;
        self.inside = self.inside.saturating_add(1);
        Some(operation)
    }

    /// There is something to do. True if an issuer is to be woken: not when so many wake-ups are on
    /// their way that every issuer will look after this. Issuers work until nothing is left.
    #[must_use]
    pub const fn wake(&mut self) -> bool {
        let wanted = self.wakes < self.limits.issuers;
        if wanted {
            self.wakes = self.wakes.saturating_add(1);
        }
        wanted
    }

    /// An issuer has heard a wake-up.
    pub const fn woken(&mut self) {
        self.wakes = self.wakes.saturating_sub(1);
    }

    /// An admitted operation has ended. True if another may be admitted in its place: wake an
    /// issuer.
    #[must_use]
    pub fn leave(&mut self) -> bool {
        self.inside = self.inside.saturating_sub(1);
        !self.waiting.is_empty()
    }

    /// Operations that wait for admission.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Operations admitted and not ended.
    #[must_use]
    pub const fn inside(&self) -> usize {
        self.inside
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "cannot allocate: see the line before"
)]
fn push<T>(queue: &mut VecDeque<T>, operation: T) -> Result<(), T> {
    // Said here so that the compiler sees that `push_back` cannot allocate, and links no panic.
    if queue.len() == queue.capacity() {
        return Err(operation);
    }
    queue.push_back(operation);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        registered: 5,
        inside: 2,
        issuers: 2,
    };

    #[test]
    fn wake_ups_are_bounded_by_the_issuers() {
        let mut queue = Queue::<u8>::new(LIMITS);
        assert_eq!(
            [queue.wake(), queue.wake(), queue.wake()],
            [true, true, false]
        );
        queue.woken();
        assert_eq!([queue.wake(), queue.wake()], [true, false]);
    }

    #[test]
    fn there_are_only_so_many_operations() {
        let mut queue = Queue::<u8>::new(LIMITS);
        assert!((0..5).all(|_| queue.register().is_ok()));
        assert_eq!(queue.register(), Err(Refused::TooMany));
        queue.unregister();
        assert_eq!(queue.register(), Ok(()));
    }

    #[test]
    fn only_so_many_are_inside_and_the_rest_keep_their_order() {
        let mut queue = Queue::new(LIMITS);
        for number in 0..4 {
            queue.register().unwrap();
            queue.wait(number).unwrap();
        }
        assert_eq!(
            (queue.take_next(), queue.take_next(), queue.take_next()),
            (Some(0), Some(1), None)
        );
        queue.go_on(1).unwrap();
        assert_eq!(
            queue.take_next(),
            Some(1),
            "an admitted operation goes on though the house is full"
        );
        assert!(queue.leave(), "someone waits");
        assert_eq!((queue.take_next(), queue.take_next()), (Some(2), None));
        assert_eq!((queue.waiting(), queue.inside()), (1, 2));
        assert!(queue.leave());
        assert_eq!(queue.take_next(), Some(3));
        assert!(!queue.leave(), "no one waits");
    }

    #[test]
    fn what_was_not_registered_comes_back() {
        let mut queue = Queue::new(LIMITS);
        assert_eq!(queue.wait('x'), Err('x'));
    }
}
