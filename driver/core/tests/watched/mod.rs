//! What every model shares: the checker's atomic, under the orderings that ship, and the checker's bounds.

use loom::sync::atomic::{AtomicUsize, Ordering};
use tlsgate_core::word::Atomic;

/// The checker's atomic.
pub struct Watched(AtomicUsize);

impl Atomic for Watched {
    fn new(value: usize) -> Self {
        Self(AtomicUsize::new(value))
    }
    fn load(&self, order: Ordering) -> usize {
        self.0.load(order)
    }
    fn fetch_or(&self, bits: usize, order: Ordering) -> usize {
        self.0.fetch_or(bits, order)
    }
    fn fetch_and(&self, bits: usize, order: Ordering) -> usize {
        self.0.fetch_and(bits, order)
    }
    fn compare_exchange(
        &self,
        current: usize,
        next: usize,
        success: Ordering,
        failure: Ordering,
    ) -> Result<usize, usize> {
        self.0.compare_exchange(current, next, success, failure)
    }
}

/// Explores the interleavings of a model: all of them, or those with no more than so many forced switches
/// (loom's manual: two or three find nearly all faults), where there are more than a test has time for.
/// `LOOM_MAX_PREEMPTIONS` takes the place of every bound; 100 is none.
pub fn explore(switches: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(switches);
    builder.check(model);
}
