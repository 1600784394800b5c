//! The atomic word that every shared state machine here is made of.

use core::sync::atomic::{AtomicUsize, Ordering};

/// What an atomic `usize` offers. The driver uses [`AtomicUsize`]; the model checker brings its own.
pub trait Atomic: Send + Sync {
    /// As [`AtomicUsize::new`].
    fn new(value: usize) -> Self;
    /// As [`AtomicUsize::load`].
    fn load(&self, order: Ordering) -> usize;
    /// As [`AtomicUsize::fetch_or`].
    fn fetch_or(&self, bits: usize, order: Ordering) -> usize;
    /// As [`AtomicUsize::fetch_and`].
    fn fetch_and(&self, bits: usize, order: Ordering) -> usize;
    /// As [`AtomicUsize::compare_exchange`].
    ///
    /// # Errors
    ///
    /// The value was not `current`.
    fn compare_exchange(
        &self,
        current: usize,
        next: usize,
        success: Ordering,
        failure: Ordering,
    ) -> Result<usize, usize>;
}

/// An atomic `usize` with the ordering that transitions need.
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

impl<A: Atomic> Word for A {
    fn new(value: usize) -> Self {
        A::new(value)
    }

    fn load(&self) -> usize {
        Atomic::load(self, Ordering::Acquire)
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

impl Atomic for AtomicUsize {
    fn new(value: usize) -> Self {
        Self::new(value)
    }

    fn load(&self, order: Ordering) -> usize {
        self.load(order)
    }

    fn fetch_or(&self, bits: usize, order: Ordering) -> usize {
        self.fetch_or(bits, order)
    }

    fn fetch_and(&self, bits: usize, order: Ordering) -> usize {
        self.fetch_and(bits, order)
    }

    fn compare_exchange(
        &self,
        current: usize,
        next: usize,
        success: Ordering,
        failure: Ordering,
    ) -> Result<usize, usize> {
        self.compare_exchange(current, next, success, failure)
    }
}
