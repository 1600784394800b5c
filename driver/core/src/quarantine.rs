//! How long what may yet be called back is kept: at least one period, in two generations.
//!
//! Whether ksecdd can call back after it refused a call is not documented. The async context of
//! such a call is kept for a while, and only so many are.

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

    /// Something joins the young generation.
    pub const fn add(&mut self) {
        self.young = self.young.saturating_add(1);
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

    /// Whether as many are kept as may be.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.kept() >= self.limit
    }

    /// How many are kept.
    #[must_use]
    pub const fn kept(&self) -> usize {
        self.young.saturating_add(self.old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_kept_for_a_period_and_not_for_ever() {
        let mut quarantine = Quarantine::new(10, 2);
        assert!(quarantine.turn(100));
        quarantine.add();
        assert!(!quarantine.turn(109), "the period is not over");
        quarantine.add();
        assert!(quarantine.is_full());
        assert!(quarantine.turn(110), "nothing was old yet");
        assert_eq!(
            quarantine.kept(),
            2,
            "what came a moment ago is kept for another period"
        );
        assert!(quarantine.turn(120));
        assert_eq!(quarantine.kept(), 0);
    }
}
