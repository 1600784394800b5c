//! The checker's atomic, for every model.

use loom::sync::atomic::{AtomicUsize, Ordering};
use tlsgate_core::word::Word;

/// The checker's atomic.
pub struct Watched(AtomicUsize);

impl Word for Watched {
    fn new(value: usize) -> Self {
        Self(AtomicUsize::new(value))
    }
    fn load(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
    fn set(&self, bits: usize) -> usize {
        self.0.fetch_or(bits, Ordering::AcqRel)
    }
    fn clear(&self, bits: usize) -> usize {
        self.0.fetch_and(!bits, Ordering::AcqRel)
    }
    fn replace(&self, current: usize, next: usize) -> Result<(), usize> {
        self.0
            .compare_exchange(current, next, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
    }
}
