//! How long things take, as a distribution.

use crate::Series;
use anyhow::Result;
use hdrhistogram::Histogram;
use std::time::Duration;

/// The longest time that is kept as it is, in nanoseconds: an hour.
const LONGEST: u64 = 3_600_000_000_000;

/// Times, kept to three digits.
pub struct Latency(Histogram<u64>);

impl Latency {
    /// None yet.
    ///
    /// # Errors
    ///
    /// Never: these bounds can be.
    pub fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LONGEST, 3)?))
    }

    /// Another time.
    pub fn add(&mut self, time: Duration) {
        self.0
            .saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that this share of all stays below, in milliseconds.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> f64 {
        milliseconds(self.0.value_at_quantile(quantile))
    }

    /// The distribution: percent of all up to a time, by time in milliseconds.
    #[must_use]
    pub fn series(&self, name: &str) -> Series {
        let steps = (0..=100).map(f64::from).chain([99.5, 99.9, 99.99]);
        let mut points: Vec<_> = steps
            .map(|percent| (self.quantile(percent / 100.0), percent))
            .collect();
        points.sort_by(|a, b| a.1.total_cmp(&b.1));
        Series {
            name: name.to_owned(),
            points,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "kept to three digits anyway")]
fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}
