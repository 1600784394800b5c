//! How long legs take: a histogram in powers of two of microseconds.
//!
//! Bucket 0 counts what took less than 2 µs; bucket `n` what took 2^n µs or more, and less than
//! 2^(n+1) µs; the last what took 2^31 µs (36 minutes) or more.

use core::sync::atomic::{AtomicU64, Ordering};

/// Buckets of a histogram.
pub const BUCKETS: usize = 32;

/// Counts, which any thread may add to at any IRQL.
#[derive(Debug, Default)]
pub struct Histogram([AtomicU64; BUCKETS]);

impl Histogram {
    /// Nothing has been counted.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }

    /// Counts what took so many microseconds.
    pub fn record(&self, microseconds: u64) {
        // A statistic: it publishes nothing.
        if let Some(count) = self.0.get(bucket_of(microseconds)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts now. Not of one instant: others may add to them meanwhile.
    #[must_use]
    pub fn snapshot(&self) -> [u64; BUCKETS] {
        self.0.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

/// The bucket that counts what took so many microseconds.
const fn bucket_of(microseconds: u64) -> usize {
    // With the lowest bit set there are at most 63 zeros in front, and 0 falls into bucket 0.
    let bucket = 63_u32.saturating_sub((microseconds | 1).leading_zeros());
    if bucket < 31 { bucket as usize } else { 31 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{sync::Arc, thread};

    #[test]
    fn buckets_begin_where_they_should() {
        for (microseconds, bucket) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 1),
            (4, 2),
            (1023, 9),
            (1024, 10),
            ((1 << 31) - 1, 30),
            (1 << 31, 31),
            (u64::MAX, 31),
        ] {
            let histogram = Histogram::new();
            histogram.record(microseconds);
            let mut expected = [0; BUCKETS];
            expected[bucket] = 1;
            assert_eq!(histogram.snapshot(), expected, "{microseconds} µs");
        }
    }

    #[test]
    fn no_count_is_lost() {
        let histogram = Arc::new(Histogram::new());
        let threads = [5, 6, 900].map(|microseconds| {
            let histogram = Arc::clone(&histogram);
            thread::spawn(move || (0..1000).for_each(|_| histogram.record(microseconds)))
        });
        for thread in threads {
            thread.join().unwrap();
        }
        let counts = histogram.snapshot();
        assert_eq!((counts[2], counts[9]), (2000, 1000));
        assert_eq!(counts.iter().sum::<u64>(), 3000);
    }

    proptest! {
        #[test]
        fn a_bucket_holds_what_its_bounds_say(microseconds: u64, shift in 0..64_u32) {
            let microseconds = microseconds >> shift;
            let bucket = bucket_of(microseconds);
            prop_assert!(bucket == 0 || microseconds >= 1 << bucket);
            prop_assert!(bucket == 31 || microseconds < 2 << bucket);
        }
    }
}
