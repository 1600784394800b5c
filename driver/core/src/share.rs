//! A handle's share of what all handles may have together, for what happens without being asked for:
//! orphans, and async contexts in quarantine.
//!
//! Nothing new begins on a handle that has its share, but what has begun may add to it. What a handle
//! has beyond its share does not count in the whole: whatever becomes of its calls, it takes no more
//! from the others than that.

use crate::word::Word;

/// What one handle has.
#[derive(Debug)]
pub struct Share<W> {
    has: W,
    limit: usize,
}

impl<W: Word> Share<W> {
    /// It has nothing yet.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            has: W::new(0),
            limit,
        }
    }

    /// One more, for which [`Self::remove`] must follow. True if it counts in the whole.
    #[must_use]
    pub fn add(&self) -> bool {
        let before = self.has.update(|has| has.checked_add(1));
        before.is_ok_and(|before| before < self.limit)
    }

    /// One less. True if there is one less in the whole, too.
    pub fn remove(&self) -> bool {
        let before = self.has.update(|has| has.checked_sub(1));
        before.is_ok_and(|before| before <= self.limit)
    }

    /// Whether it has all of it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.has.load() >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicUsize;

    #[test]
    fn what_is_beyond_a_share_does_not_count_in_the_whole() {
        let share = Share::<AtomicUsize>::new(3);
        let mut whole = 0;
        for has in 0..20 {
            assert_eq!(share.is_full(), has >= 3);
            whole += usize::from(share.add());
            assert_eq!(whole, (has + 1).min(3));
        }
        for has in (0..20).rev() {
            whole -= usize::from(share.remove());
            assert_eq!(whole, has.min(3));
        }
        assert!(
            !share.remove() && !share.is_full(),
            "there is nothing to give back"
        );
    }
}
