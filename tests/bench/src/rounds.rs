//! Sides of a comparison in turns, and what the rounds come to.

use crate::{Bound, Row};
use anyhow::Result;

/// What each round has given, of both sides.
#[derive(Clone, Debug, Default)]
pub struct Versus {
    /// Of the one side.
    pub ours: Vec<f64>,
    /// Of the other.
    pub theirs: Vec<f64>,
}

/// Measures both sides in turns, so many rounds; each begins every other round, so that neither has
/// the better place. A round in front, in which all warms up, does not count.
///
/// # Errors
///
/// Either side fails.
pub fn versus(
    rounds: usize,
    mut ours: impl FnMut() -> Result<f64>,
    mut theirs: impl FnMut() -> Result<f64>,
) -> Result<Versus> {
    let mut versus = Versus::default();
    for round in 0..=rounds {
        let (our, their) = if round % 2 == 0 {
            let our = ours()?;
            (our, theirs()?)
        } else {
            let their = theirs()?;
            (ours()?, their)
        };
        if round > 0 {
            versus.ours.push(our);
            versus.theirs.push(their);
        }
    }
    Ok(versus)
}

impl Versus {
    /// One side's figure as a ratio to the other's, round by round.
    #[must_use]
    pub fn ratios(&self) -> Vec<f64> {
        let rounds = self.ours.iter().zip(&self.theirs);
        rounds.map(|(our, their)| our / their).collect()
    }
}

impl Row {
    /// The median of some rounds, and half the distance of their quartiles.
    #[must_use]
    pub fn of_rounds(name: &str, unit: &str, rounds: &[f64], bound: Option<Bound>) -> Self {
        Self {
            name: name.to_owned(),
            value: quantile(rounds, 0.5),
            unit: unit.to_owned(),
            spread: Some((quantile(rounds, 0.75) - quantile(rounds, 0.25)) / 2.0),
            bound,
        }
    }

    /// A figure that was taken once, or is exact.
    #[must_use]
    pub fn once(name: &str, unit: &str, value: f64, bound: Option<Bound>) -> Self {
        Self {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            spread: None,
            bound,
        }
    }
}

/// The quantile of a sample, interpolated; not a number if there is none.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places in a sample"
)]
pub fn quantile(sample: &[f64], quantile: f64) -> f64 {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = quantile * sorted.len().saturating_sub(1) as f64;
    let below = place.floor() as usize;
    match (sorted.get(below), sorted.get(below + 1)) {
        (Some(low), Some(high)) => low + (high - low) * place.fract(),
        (Some(only), None) => *only,
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-9
    }

    #[test]
    fn quantiles_are_interpolated() {
        let sample = [4.0, 1.0, 3.0, 2.0, 5.0];
        let quartiles = [0.0, 0.25, 0.5, 0.6, 1.0].map(|at| quantile(&sample, at));
        let expected = [1.0, 2.0, 3.0, 3.4, 5.0];
        assert!(quartiles.iter().zip(expected).all(|(a, b)| near(*a, b)));
        assert!(quantile(&[], 0.5).is_nan());
        assert!(near(quantile(&[7.0], 0.99), 7.0));
    }

    #[test]
    fn the_first_round_does_not_count_and_sides_take_turns() {
        let turns = std::cell::RefCell::new(String::new());
        let (mut us, mut them) = (0.0, 0.0);
        let found = versus(
            3,
            || {
                turns.borrow_mut().push('o');
                us += 1.0;
                Ok(us)
            },
            || {
                turns.borrow_mut().push('t');
                them += 2.0;
                Ok(them)
            },
        )
        .unwrap();
        assert_eq!(*turns.borrow(), "ottootto");
        assert_eq!(found.ours, [2.0, 3.0, 4.0]);
        assert_eq!(found.ratios(), [0.5, 0.5, 0.5]);
        let row = Row::of_rounds("a", "s", &found.ours, Some(Bound::AtMost(3.0)));
        assert!(near(row.value, 3.0) && near(row.spread.unwrap(), 0.5));
        assert!(row.bound.unwrap().holds(row.value));
        assert!(!Bound::AtLeast(3.1).holds(row.value));
    }
}
