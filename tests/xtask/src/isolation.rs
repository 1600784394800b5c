//! `cargo xtask isolation`: what a flood in one program leaves to another, at length.

use anyhow::Result;

use crate::{
    build::{self, Tools},
    layout::Layout,
    report,
    step::Steps,
    test::host_cargo,
};

/// What `tests/e2e/tests/ioctl/isolation.rs` reads.
const ROUNDS: (&str, &str) = ("TLSGATE_ISOLATION_ROUNDS", "3");
const SECONDS: (&str, &str) = ("TLSGATE_ISOLATION_SECONDS", "10");

/// Builds, and compares a program's throughput with and without a flood beside it. The result is
/// `target/reports/isolation.json`.
pub fn run(layout: &Layout, steps: &Steps) -> Result<()> {
    let tools = Tools::ready(layout, steps)?;
    build::all(layout, &tools, steps)?;
    steps.loud("two programs, one of which floods", || {
        let mut run = host_cargo(layout.root(), "test");
        run.args(["--locked", "-p", "tlsgate-e2e", "--test", "ioctl", "--"])
            .args([
                "a_flood_leaves_another_program_its_throughput",
                "--nocapture",
            ])
            .envs([ROUNDS, SECONDS]);
        report::of_run(layout, "isolation", "cargo xtask isolation", &mut run)
    })
}
