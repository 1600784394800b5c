//! A limit on how often something happens: a bucket of tokens that fills with time.
//!
//! Times are in 100 ns units of unbiased interrupt time. The bucket counts in ten-millionths of a
//! token, so that nothing is lost to rounding: a rate of r a second adds exactly r of them each unit.

/// One token, in the units of a bucket's level: as many as a second has units of time.
const TOKEN: u64 = 10_000_000;

/// A bucket; whoever shares one keeps it under a lock.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    level: u64,
    most: u64,
    /// Tokens a second; 0 is no limit.
    rate: u32,
    /// The latest time seen.
    last: u64,
}

impl Bucket {
    /// A full bucket at the time `now`: `rate` tokens a second, never more than `burst`, and at least
    /// one. A rate of 0 is no limit.
    #[must_use]
    pub fn new(rate: u32, burst: u32, now: u64) -> Self {
        let most = u64::from(burst.max(1)).saturating_mul(TOKEN);
        Self {
            level: most,
            most,
            rate,
            last: now,
        }
    }

    /// Whether there is a token. It stays.
    #[must_use]
    pub fn has(&mut self, now: u64) -> bool {
        self.fill(now);
        self.rate == 0 || self.level >= TOKEN
    }

    /// Takes a token. False if there is none.
    #[must_use]
    pub fn take(&mut self, now: u64) -> bool {
        let has = self.has(now);
        if has {
            self.level = self.level.saturating_sub(TOKEN);
        }
        has
    }

    /// Takes a token for what has happened already, be there one or not: what cannot be refused any
    /// more empties the bucket, and no more than that.
    pub fn spend(&mut self, now: u64) {
        self.fill(now);
        self.level = self.level.saturating_sub(TOKEN);
    }

    fn fill(&mut self, now: u64) {
        let passed = now.saturating_sub(self.last);
        let more = passed.saturating_mul(u64::from(self.rate));
        self.level = self.level.saturating_add(more).min(self.most);
        self.last = self.last.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 10_000_000;

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = Bucket::new(2, 3, 5);
        assert_eq!([(); 4].map(|()| bucket.take(5)), [true, true, true, false]);
        assert!(!bucket.has(5 + SECOND / 2 - 1));
        assert!(bucket.has(5 + SECOND / 2) && bucket.take(5 + SECOND / 2));
        assert!(!bucket.take(5 + SECOND / 2));
        assert_eq!(
            [(); 4].map(|()| bucket.take(u64::MAX)),
            [true, true, true, false],
            "never more than the burst"
        );
    }

    #[test]
    fn a_rate_of_zero_is_no_limit_and_a_burst_of_zero_is_one() {
        let mut bucket = Bucket::new(0, 0, 0);
        assert!((0..1000).all(|_| bucket.take(0)));
        let mut bucket = Bucket::new(1, 0, 0);
        assert_eq!([bucket.take(0), bucket.take(0)], [true, false]);
    }

    #[test]
    fn what_has_happened_already_makes_no_debt() {
        let mut bucket = Bucket::new(1, 1, 0);
        (0..10).for_each(|_| bucket.spend(0));
        assert!(!bucket.has(SECOND - 1) && bucket.has(SECOND));
    }

    #[test]
    fn a_look_at_the_clock_that_comes_late_brings_no_tokens() {
        let mut bucket = Bucket::new(1, 1, 0);
        assert!(bucket.take(2 * SECOND));
        assert!(!bucket.has(SECOND));
        assert!(!bucket.has(2 * SECOND), "the second was counted before");
        assert!(bucket.has(3 * SECOND));
    }

    proptest! {
        /// The model has no rounding, as it counts in fractions of a token with 128 bits.
        #[test]
        fn it_is_exact(
            rate in 1..2_000_u32, burst in 1..100_u32,
            steps in proptest::collection::vec((0..3 * SECOND, any::<bool>(), -200_000_i64..5), 1..200),
        ) {
            let mut bucket = Bucket::new(rate, burst, 0);
            let full = u128::from(burst) * u128::from(SECOND);
            let (mut level, mut seen, mut clock) = (full, 0_u64, 0_u64);
            for (passed, take, skew) in steps {
                clock += passed / 100;
                // Two threads may ask in another order than they looked at the clock.
                let now = clock.saturating_add_signed(skew);
                level = full.min(level + u128::from(rate) * u128::from(now.saturating_sub(seen)));
                seen = seen.max(now);
                let has = level >= u128::from(SECOND);
                if take {
                    prop_assert_eq!(bucket.take(now), has);
                    level -= if has { u128::from(SECOND) } else { 0 };
                } else {
                    prop_assert_eq!(bucket.has(now), has);
                }
            }
        }
    }
}
