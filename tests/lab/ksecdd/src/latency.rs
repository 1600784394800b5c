//! How long calls take: times drawn from a distribution by a seeded generator, so that a run can be
//! repeated.

use std::time::Duration;
use tlsgate_lab_control::ksecdd::Latency;

/// Pareto's exponent: the mean is six times the least, the variance unbounded.
const TAIL: f64 = 1.2;

/// Draws times.
pub struct Sampler {
    latency: Latency,
    random: fastrand::Rng,
}

impl Default for Sampler {
    fn default() -> Self {
        Self::new(Latency::default())
    }
}

impl Sampler {
    /// Draws from `latency`.
    pub fn new(latency: Latency) -> Self {
        let seed = match latency {
            Latency::Fixed(_) => 0,
            Latency::Uniform { seed, .. }
            | Latency::Exponential { seed, .. }
            | Latency::HeavyTail { seed, .. } => seed,
        };
        Self {
            latency,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// The next time.
    pub fn next(&mut self) -> Duration {
        match self.latency {
            Latency::Fixed(time) => Duration::from_micros(time),
            Latency::Uniform { least, most, .. } => {
                Duration::from_micros(self.random.u64(least..=most.max(least)))
            }
            Latency::Exponential { mean, .. } => {
                Duration::from_micros(mean).mul_f64(-self.unit().ln())
            }
            Latency::HeavyTail { least, most, .. } => {
                let factor = self.unit().powf(-1.0 / TAIL);
                let [least, most] = [least.max(1), most].map(Duration::from_micros);
                least.mul_f64(factor.min(most.div_duration_f64(least)))
            }
        }
    }

    /// Above 0, at most 1.
    fn unit(&mut self) -> f64 {
        1.0 - self.random.f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(latency: Latency) -> Vec<u128> {
        let mut sampler = Sampler::new(latency);
        (0..10_000).map(|_| sampler.next().as_micros()).collect()
    }

    #[test]
    fn times_are_of_their_distribution_and_repeat_with_their_seed() {
        assert!(draw(Latency::Fixed(5)).iter().all(|&time| time == 5));
        let uniform = |seed| {
            draw(Latency::Uniform {
                least: 10,
                most: 20,
                seed,
            })
        };
        assert!((10..=20).all(|time| uniform(1).contains(&time)));
        assert!(uniform(1).iter().all(|time| (10..=20).contains(time)));
        assert_eq!(uniform(1), uniform(1));
        assert_ne!(uniform(1), uniform(2));
        let exponential = draw(Latency::Exponential {
            mean: 1000,
            seed: 1,
        });
        let mean = exponential.iter().sum::<u128>() / 10_000;
        assert!((950..1050).contains(&mean), "{mean}");
        assert!(exponential.iter().any(|&time| time > 5000));
        let tail = draw(Latency::HeavyTail {
            least: 100,
            most: 100_000,
            seed: 1,
        });
        let median = {
            let mut sorted = tail.clone();
            sorted.sort_unstable();
            sorted[5000]
        };
        assert!((160..200).contains(&median), "{median}");
        assert!(tail.iter().all(|time| (100..=100_000).contains(time)));
        assert!(tail.iter().any(|&time| time > 20_000));
    }
}
