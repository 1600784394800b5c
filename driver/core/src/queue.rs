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
    most_inside: usize,
}

impl<T> Queue<T> {
    /// An empty queue; allocates nothing.
    #[must_use]
    pub const fn new(most_inside: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            admitted: VecDeque::new(),
            registered: 0,
            inside: 0,
            most_inside,
        }
    }

    /// Makes room for one more operation. False when there is no memory.
    #[must_use]
    pub fn register(&mut self) -> bool {
        let wanted = self.registered.saturating_add(1);
        for queue in [&mut self.waiting, &mut self.admitted] {
            if queue
                .try_reserve(wanted.saturating_sub(queue.len()))
                .is_err()
            {
                return false;
            }
        }
        self.registered = wanted;
        true
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
        if self.inside >= self.most_inside {
            return None;
        }
        let operation = self.waiting.pop_front()?;
        self.inside = self.inside.saturating_add(1);
        Some(operation)
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

    #[test]
    fn only_so_many_are_inside_and_the_rest_keep_their_order() {
        let mut queue = Queue::new(2);
        for number in 0..4 {
            assert!(queue.register());
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
        let mut queue = Queue::new(1);
        assert_eq!(queue.wait('x'), Err('x'));
    }
}
