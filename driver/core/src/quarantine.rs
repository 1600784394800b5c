//! How long what may yet be called back is kept: at least one period, in two generations.
//!
//! Whether ksecdd can call back after it refused a call is not documented. The async context of
//! such a call is kept for a while. While as many are kept as may be, nothing new begins; what has
//! begun goes on and is closed as ever, with a fresh async context if need be. So there are never
//! more than the limit and what the sessions and credentials that exist then add.
//!
//! A handle has a [share](crate::share) of that; what it keeps beyond does not count in the whole.

/// Counts of the two generations; the values themselves are the owner's.
#[derive(Debug)]
pub struct Quarantine {
    young: usize,
    old: usize,
    turned: u64,
    period: u64,
    limit: usize,
}

impl Quarantine {
    /// Nothing is kept. `period` is in the units of the times given later.
    #[must_use]
    pub const fn new(period: u64, limit: usize) -> Self {
        Self {
            young: 0,
            old: 0,
            turned: 0,
            period,
            limit,
        }
    }

    /// Something joins the young generation; [`add`](crate::share::Share::add) says whether it counts.
    pub const fn add(&mut self, counts: bool) {
        if counts {
            self.young = self.young.saturating_add(1);
        }
    }

    /// True if the old generation has been kept for a whole period: let it go, and make the young
    /// one the old.
    #[must_use]
    pub const fn turn(&mut self, now: u64) -> bool {
        if now.saturating_sub(self.turned) < self.period {
            return false;
        }
        self.turned = now;
        self.old = self.young;
        self.young = 0;
        true
    }

    /// Whether a new session or credential may begin. Closings and the legs of a session that exists
    /// do not ask: they may always have a fresh async context.
    #[must_use]
    pub const fn may_begin(&self) -> bool {
        !self.is_full()
    }

    /// Whether as many are kept as may be.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.kept() >= self.limit
    }

    /// How many are kept, of those that count.
    #[must_use]
    pub const fn kept(&self) -> usize {
        self.young.saturating_add(self.old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::Share;
    use core::sync::atomic::AtomicUsize;

    #[test]
    fn a_handle_takes_no_more_than_its_share_of_the_whole() {
        let mut quarantine = Quarantine::new(10, 5);
        let (busy, other) = (Share::<AtomicUsize>::new(3), Share::<AtomicUsize>::new(3));
        (0..20).for_each(|_| quarantine.add(busy.add()));
        assert!(busy.is_full() && quarantine.kept() == 3);
        assert!(quarantine.may_begin() && !other.is_full());
        (0..2).for_each(|_| quarantine.add(other.add()));
        assert!(!other.is_full(), "its share is not used up");
        assert!(!quarantine.may_begin(), "the whole is bounded, too");
    }

    #[test]
    fn everything_is_kept_for_a_period_and_not_for_ever() {
        let mut quarantine = Quarantine::new(10, 2);
        assert!(quarantine.turn(100));
        quarantine.add(true);
        assert!(!quarantine.turn(109), "the period is not over");
        quarantine.add(true);
        assert!(quarantine.is_full() && !quarantine.may_begin());
        quarantine.add(true);
        assert_eq!(
            quarantine.kept(),
            3,
            "what has begun is not bound by the limit"
        );
        assert!(quarantine.turn(110), "nothing was old yet");
        assert_eq!(
            quarantine.kept(),
            3,
            "what came a moment ago is kept for another period"
        );
        assert!(quarantine.turn(120));
        assert_eq!(quarantine.kept(), 0);
        assert!(quarantine.may_begin());
    }
}
