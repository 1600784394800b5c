//! `cargo xtask suites`: every case of other people's test suites, with the driver and without it.

use anyhow::Result;

use crate::{
    build::{self, Tools},
    layout::Layout,
    report,
    step::Steps,
    test::host_cargo,
};

/// Has the test try all of its cases.
const WHOLE: &str = "TLSGATE_SUITES_WHOLE";

/// Runs them. The result is `target/reports/suites.json`.
pub fn run(layout: &Layout, steps: &Steps) -> Result<()> {
    let tools = Tools::ready(layout, steps)?;
    build::all(layout, &tools, steps)?;
    steps.loud("other people's test suites, every case", || {
        let mut cargo = host_cargo(layout.root(), "test");
        cargo
            .args(["--locked", "-p", "tlsgate-e2e", "--test", "suites"])
            .env(WHOLE, "1");
        report::of_run(layout, "suites", "cargo xtask suites", &mut cargo)
    })
}
