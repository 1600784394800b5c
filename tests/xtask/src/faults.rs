//! `cargo xtask faults`: everything goes wrong, one thing at a time; `target/reports/faults.json`,
//! or with `--part 2/4` as `faults-2-of-4.json`.

use std::{
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Error, Result, ensure};
use clap::Args;
use serde_json::json;

use crate::{
    build::{self, Tools},
    layout::Layout,
    report,
    step::Steps,
    test::host_cargo,
};

/// Names the plan to the test: `tests/e2e/tests/faults/plan.rs`.
const PLAN: &str = "TLSGATE_FAULTS";

/// How much, and which.
#[derive(Args)]
pub struct Order {
    /// Every point (hours), or with --minutes as many as there is time for; a sample otherwise (two minutes).
    #[arg(long)]
    full: bool,
    /// Of everything that is drawn; the day's number otherwise.
    #[arg(long)]
    seed: Option<u64>,
    /// How long the sweeps may take.
    #[arg(long)]
    minutes: Option<u64>,
    /// One part of several, `2/4`: they can be run one after the other, or on several checkouts at once.
    #[arg(long, default_value = "1/1")]
    part: Part,
    /// Only points of the sweeps with all of these words in their names, as failures tell them.
    words: Vec<String>,
}

/// Which part, of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    number: u32,
    of: u32,
}

impl FromStr for Part {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (number, of) = text.split_once('/').context("a part is written 2/4")?;
        let (number, of) = (number.parse()?, of.parse()?);
        ensure!(
            (1..=of).contains(&number),
            "there is no part {number} of {of}"
        );
        Ok(Self { number, of })
    }
}

impl Part {
    /// Behind names, if there is more than one.
    fn suffix(self) -> Option<String> {
        (self.of > 1).then(|| format!("{}-of-{}", self.number, self.of))
    }
}

/// Builds what is needed, and runs the test.
pub fn run(layout: &Layout, steps: &Steps, order: &Order) -> Result<()> {
    let tools = Tools::ready(layout, steps)?;
    build::all(layout, &tools, steps)?;
    let seed = match order.seed {
        Some(seed) => seed,
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / (24 * 60 * 60),
    };
    let plan = json!({
        "full": order.full,
        "seed": seed,
        "minutes": order.minutes,
        "part": [order.part.number, order.part.of],
        "words": order.words,
    });
    let seed = format!("--seed {seed}");
    let minutes = order.minutes.map(|minutes| format!("--minutes {minutes}"));
    let Part { number, of } = order.part;
    let part = (of > 1).then(|| format!("--part {number}/{of}"));
    let command = ["cargo xtask faults", &seed]
        .into_iter()
        .chain(order.full.then_some("--full"))
        .chain(part.as_deref())
        .chain(minutes.as_deref())
        .chain(order.words.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(" ");
    let mut cargo = host_cargo(layout.root(), "test");
    cargo
        .args(["--locked", "-p", "tlsgate-e2e", "--test", "faults"])
        .args(["--", "--nocapture", "whatever_goes_wrong"])
        .env(PLAN, plan.to_string());
    let report = ["faults".to_owned()]
        .into_iter()
        .chain(order.part.suffix())
        .collect::<Vec<_>>()
        .join("-");
    steps.loud("faults", || {
        report::of_run(layout, &report, &command, &mut cargo)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_from_one() {
        assert_eq!("2/4".parse::<Part>().unwrap(), Part { number: 2, of: 4 });
        for wrong in ["", "2", "0/4", "5/4", "1/0", "a/b"] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong}");
        }
    }
}
