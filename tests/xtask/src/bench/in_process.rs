//! The scenarios of `tests/bench`, run in the process that the driver is loaded in.

use anyhow::{Context, Result};

use super::results::Results;
use crate::{
    build::{self, Tools},
    layout::Layout,
    report,
    step::Steps,
    test::host_cargo,
};

/// What `tests/e2e/tests/bench` reads.
const QUICK: &str = "TLSGATE_BENCH_QUICK";
const SCENARIOS: &str = "TLSGATE_BENCH_SCENARIOS";

/// Runs the scenarios with these names, or all.
///
/// # Errors
///
/// A build or the run failed.
pub fn measure(
    layout: &Layout,
    tools: &Tools,
    steps: &Steps,
    quick: bool,
    scenarios: &[&str],
) -> Result<Results> {
    steps.step("build the stand-ins without their costly checks", |step| {
        build::bench_modules(layout, tools, step)
    })?;
    steps.loud("in the driver's process", || {
        let mut run = host_cargo(layout.root(), "test");
        run.args(["--locked", "-p", "tlsgate-e2e", "--test", "bench"])
            .args(["--", "--nocapture"]);
        if quick {
            run.env(QUICK, "1");
        }
        if !scenarios.is_empty() {
            run.env(SCENARIOS, scenarios.join(" "));
        }
        let (body, ended) = report::given(layout, "bench-in-process", &mut run)?;
        ended?;
        let mut results: Results = serde_json::from_value(body).context("its results")?;
        results.notes.insert(0, METHOD.to_owned());
        Ok(results)
    })
}

/// What the report says of these figures.
const METHOD: &str = "\
In process: the driver is the packaged tlsgate.sys, byte for byte, loaded in Wine's kernel process. The KMDF \
stand-in calls it there directly, without Wine's own way of an IOCTL. The stand-ins are built for this with their \
costly checks off; in every other run of the lab these checks are on. Where two things are compared, they take turns \
in one run, and the figure is the median of the turns' ratios, with half the distance between their quartiles.";
