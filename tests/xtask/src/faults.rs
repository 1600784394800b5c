//! `cargo xtask faults`: everything goes wrong, one thing at a time; `target/reports/faults.json`.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
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
    /// Only points of the sweeps with all of these words in their names, as failures tell them.
    words: Vec<String>,
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
        "words": order.words,
    });
    let seed = format!("--seed {seed}");
    let minutes = order.minutes.map(|minutes| format!("--minutes {minutes}"));
    let command = ["cargo xtask faults", &seed]
        .into_iter()
        .chain(order.full.then_some("--full"))
        .chain(minutes.as_deref())
        .chain(order.words.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(" ");
    let mut cargo = host_cargo(layout.root(), "test");
    cargo
        .args(["--locked", "-p", "tlsgate-e2e", "--test", "faults"])
        .args(["--", "--nocapture", "whatever_goes_wrong"])
        .env(PLAN, plan.to_string());
    steps.loud("faults", || {
        report::of_run(layout, "faults", &command, &mut cargo)
    })
}
