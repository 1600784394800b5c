//! The scenarios of `tests/bench`, run in the process that the driver is loaded in.

use std::process::Command;

use anyhow::{Context, Result};

use super::results::Results;
use crate::{layout::Layout, report, step::Steps, test::host_cargo};

/// What `tests/e2e/tests/bench` reads: names with commas in between, or `all`; and `Effort` of `tests/bench`.
const SCENARIOS: &str = "TLSGATE_BENCH_SCENARIOS";
const EFFORT: &str = "TLSGATE_BENCH_EFFORT";

/// The effort of a short run: fewer and shorter rounds, and fewer sessions.
const QUICK: &str =
    r#"{"rounds": 5, "turn": {"secs": 0, "nanos": 200000000}, "sessions": 20000, "seed": 1}"#;

/// Runs the scenarios with these names, or all. Gives what was measured, and whether that is all.
///
/// # Errors
///
/// Nothing was measured.
pub fn measure(
    layout: &Layout,
    steps: &Steps,
    quick: bool,
    scenarios: &[&str],
) -> Result<(Results, Result<()>)> {
    steps.step("measure in the driver's process", |step| {
        let wanted = if scenarios.is_empty() {
            "all".to_owned()
        } else {
            scenarios.join(",")
        };
        let mut run = waking_as_windows_does(&host_cargo(layout.root(), "test"));
        run.args(["--locked", "-p", "tlsgate-e2e", "--test", "bench"])
            .args(["--", "--nocapture"])
            .env(SCENARIOS, wanted);
        if quick {
            run.env(EFFORT, QUICK);
        }
        let (body, ended) = report::given_in(layout, "bench-in-process", &mut run, step)?;
        let mut results: Results = serde_json::from_value(body).context("its results")?;
        results.notes.insert(0, METHOD.to_owned());
        Ok((results, ended))
    })
}

/// A command none of whose threads takes the processor from another one by waking up: Linux' policy for
/// batches, which everything that is started inherits. On Windows too a thread that is woken without a boost, as
/// the driver's are (`KeReleaseSemaphore`, Increment), waits for its turn among those of its priority ("Scheduling
/// Priorities", win32 documentation).
fn waking_as_windows_does(command: &Command) -> Command {
    let mut batch = Command::new("chrt");
    batch
        .args(["--batch", "0"])
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        batch.current_dir(folder);
    }
    batch
}

/// What the report says of these figures.
const METHOD: &str = "\
In process: the driver is the packaged tlsgate.sys, byte for byte, loaded in Wine's kernel process. The KMDF \
stand-in calls it there directly, without Wine's own way of an IOCTL. Where two things are compared, they take turns \
in one run, and the figure is the median of the turns' ratios, with half the distance between their quartiles. \
Threads that are woken wait for their turn (Linux's batch policy).";
