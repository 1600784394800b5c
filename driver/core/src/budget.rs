//! A quota on something that is counted driver-wide, such as bytes.

use crate::word::Word;

/// At most so much is out at a time.
#[derive(Debug)]
pub struct Budget<W> {
    used: W,
    limit: usize,
}

impl<W: Word> Budget<W> {
    /// Nothing is out yet.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            used: W::new(0),
            limit,
        }
    }

    /// Takes `amount`, unless that is more than is left. [`Self::give_back`] must follow.
    #[must_use]
    pub fn take(&self, amount: usize) -> bool {
        let step = |used: usize| used.checked_add(amount).filter(|used| *used <= self.limit);
        self.used.update(step).is_ok()
    }

    /// Gives back what was taken.
    pub fn give_back(&self, amount: usize) {
        // Cannot fail: what is given back was taken.
        let _before = self.used.update(|used| Some(used.saturating_sub(amount)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicUsize;

    #[test]
    fn no_more_is_out_than_the_limit() {
        let budget = Budget::<AtomicUsize>::new(10);
        assert!(budget.take(7));
        assert!(!budget.take(4));
        assert!(budget.take(3));
        assert!(!budget.take(usize::MAX));
        budget.give_back(7);
        assert!(budget.take(6) && !budget.take(2));
    }
}
