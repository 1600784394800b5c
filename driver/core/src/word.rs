//! The atomic word that every shared state machine here is made of.

use core::sync::atomic::{AtomicUsize, Ordering};

/// An atomic `usize`. The driver uses [`AtomicUsize`]; the model checker brings its own.
///
/// Every operation is acquire and release: a transition publishes what was written before it, and
/// sees what was written before the transition it follows.
pub trait Word: Send + Sync {
    /// A word with this value.
    fn new(value: usize) -> Self;
    /// The value now.
    fn load(&self) -> usize;
    /// Sets bits; gives the value before.
    fn set(&self, bits: usize) -> usize;
    /// Clears bits; gives the value before.
    fn clear(&self, bits: usize) -> usize;
    /// Replaces `current` by `next`, or gives the value that is there instead.
    ///
    /// # Errors
    ///
    /// The value was not `current`.
    fn replace(&self, current: usize, next: usize) -> Result<(), usize>;

    /// Moves the word by `step` until no one interferes; `None` from `step` leaves it.
    ///
    /// # Errors
    ///
    /// `step` gave `None` for the value in the error.
    fn update(&self, step: impl Fn(usize) -> Option<usize>) -> Result<usize, usize> {
        let mut current = self.load();
        loop {
            let next = step(current).ok_or(current)?;
            match self.replace(current, next) {
                Ok(()) => return Ok(current),
                Err(seen) => current = seen,
            }
        }
    }
}

impl Word for AtomicUsize {
    fn new(value: usize) -> Self {
        Self::new(value)
    }

    fn load(&self) -> usize {
        self.load(Ordering::Acquire)
    }

    fn set(&self, bits: usize) -> usize {
        self.fetch_or(bits, Ordering::AcqRel)
    }

    fn clear(&self, bits: usize) -> usize {
        self.fetch_and(!bits, Ordering::AcqRel)
    }

    fn replace(&self, current: usize, next: usize) -> Result<(), usize> {
        self.compare_exchange(current, next, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
    }
}
