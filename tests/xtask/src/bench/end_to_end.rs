//! `tlsgate bench` in the ordinary lab: a program's connections through the driver, and through rustls in user
//! mode.

use anyhow::{Context, Result};

use super::results::Results;
use crate::{layout::Layout, report, step::Steps, test::host_cargo};

/// What a word on the command line calls this part.
pub const NAME: &str = "end-to-end";

/// Seconds that each measurement takes, for `tests/e2e/tests/selftest/figures.rs`.
const SECONDS: &str = "TLSGATE_BENCH_SECONDS";

/// Runs it in each of its forms.
///
/// # Errors
///
/// A run failed.
pub fn measure(layout: &Layout, steps: &Steps, quick: bool) -> Result<Results> {
    steps.step("measure end to end in the lab", |step| {
        let mut run = host_cargo(layout.root(), "test");
        run.args(["--locked", "-p", "tlsgate-e2e", "--test", "selftest", "--"])
            .args(["figures", "--ignored", "--nocapture"])
            .env(SECONDS, if quick { "2" } else { "12" });
        let (body, ended) = report::given_in(layout, "bench-end-to-end", &mut run, step)?;
        ended?;
        serde_json::from_value(body).context("its results")
    })
}
