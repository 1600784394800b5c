//! `cargo xtask variants`: the end-to-end tests under every setting of what Windows leaves open.

use std::{path::Path, time::Instant};

use anyhow::{Result, bail};
use serde_json::json;
use tlsgate_lab_control::ksecdd::Switches;

use crate::{
    build::{self, Tools},
    layout::Layout,
    package, process, report, soak,
    step::Steps,
    test::host_cargo,
};

/// Under "without" the stand-in lacks session tickets, alerts as out-of-band data, and check results: tests
/// of these have nothing to test, and some peers and programs take an end without close_notify for a failure.
const NEEDS_FEATURES: [&str; 17] = [
    "clients_resume_unless_the_server_does_not",
    "the_driver_s_client_and_server_talk_to_each_other",
    "a_client_s_chain_is_told_as_it_was_sent",
    "a_server_that_demands_certificates_lets_no_other_client_in",
    "curl_and_python_show_their_certificates",
    "a_server_that_is_not_who_it_should_be_is_refused",
    "the_server_says_close_notify",
    "many_records_a_call",
    "half_close",
    "a_connection_by_hand_resumes_the_one_before",
    "python_hears_much_and_ends_clean",
    "a_program_in_c_shakes_hands",
    "the_whole_selftest_passes_and_leaves_nothing",
    "what_does_not_pass_is_reported_and_what_is_measured_is_sane",
    "the_examples_do_what_they_say",
    "a_connection_s_chain_and_session_are_told",
    "every_entry_into_the_driver_keeps_within_its_stack",
];

/// Compares with an engine that tells every alert, and takes every record at once: its table is of the usual settings.
const USUAL_ONLY: &str = "every_difference_from_the_engine_without_a_driver_is_explained";

/// Names the variant to the tests' machine.
const VARIANT: &str = "TLSGATE_LAB_VARIANT";

/// Runs the end-to-end tests under each variant that is named, or else under every round; all of them even
/// if one fails. The result is `target/reports/variants.json`.
pub fn run(layout: &Layout, steps: &Steps, names: &[String]) -> Result<()> {
    let tools = Tools::ready(layout, steps)?;
    build::all(layout, &tools, steps)?;
    package::make(layout, steps)?;
    let rounds = if names.is_empty() {
        Switches::rounds()
            .into_iter()
            .map(|round| round.0)
            .collect()
    } else {
        names.to_vec()
    };
    let mut rows = Vec::new();
    for name in rounds {
        let start = Instant::now();
        let passed = steps
            .loud(&format!("end-to-end tests under {name}"), || {
                under(layout.root(), &name)
            })
            .inspect_err(|error| eprintln!("{error:#}"))
            .is_ok();
        rows.push(json!({
            "variant": name,
            "passed": passed,
            "seconds": start.elapsed().as_secs(),
        }));
    }
    let failed = rows.iter().filter(|row| row["passed"] == false).count();
    let body = json!({ "tried": rows.len(), "failed": failed, "rows": rows });
    report::write(layout, "variants", "cargo xtask variants", &body)?;
    if failed > 0 {
        bail!("{failed} of {} variants failed", rows.len());
    }
    Ok(())
}

fn under(root: &Path, name: &str) -> Result<()> {
    let mut cargo = host_cargo(root, "test");
    cargo
        .args(["--locked", "-p", "tlsgate-e2e", "--no-fail-fast", "--"])
        .args(["--skip", USUAL_ONLY])
        .env(VARIANT, name)
        // It goes through the variants by itself.
        .env(soak::SECONDS, "0");
    if name.starts_with("without") {
        cargo.args(NEEDS_FEATURES.iter().flat_map(|test| ["--skip", test]));
    }
    process::run_loud(&mut cargo)
}
