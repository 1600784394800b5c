//! The driver under random requests of several handles at once: for some seconds here, for as long as one
//! likes by `cargo xtask fuzz`. `TLSGATE_FUZZ_SECONDS` says how long, `TLSGATE_FUZZ_SEED` where it all comes from.

use crate::probe::{lab, probe, restart_with};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{env, path::Path, time::Instant};
use tlsgate_e2e::report;
use tlsgate_lab_machine::Parameter;

/// Small quotas, so that they are met; the probe knows those of sessions and credentials.
const SETTINGS: [(&str, u32); 12] = [
    // Not small: Wine tells no program that its open was refused, and closed handles wait for their calls.
    ("Handles", 64),
    ("Sessions", 20),
    ("SessionsPerHandle", 8),
    ("Credentials", 15),
    ("CredentialsPerHandle", 6),
    ("PendingRequests", 30),
    ("PendingRequestsPerHandle", 16),
    ("Orphans", 12),
    ("OrphansPerHandle", 6),
    ("InputMiB", 2),
    ("InputMiBPerHandle", 1),
    // Handshakes of garbage fail; that there is a limit is tested elsewhere.
    ("FailuresPerSecond", 0),
];

/// As long as the probe may run at a time; the driver is loaded anew between two.
const SPAN: u64 = 60;

/// Names one round of the seed, to see again what it was.
const ROUND: &str = "TLSGATE_FUZZ_ROUND";

/// Seconds, if nobody says otherwise.
const USUAL: u64 = 12;

#[test]
fn random_requests_of_several_handles_break_nothing() -> Result<()> {
    let seconds = number("TLSGATE_FUZZ_SECONDS")?.unwrap_or(USUAL);
    let first = number("TLSGATE_FUZZ_SEED")?.unwrap_or(1);
    let lab = lab()?;
    // What end-to-end tests have sent; see `cargo xtask fuzz --record`.
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/decode");
    lab.machine().place_folder(&corpus)?;
    let (start, mut runs) = (Instant::now(), Vec::new());
    for seed in first.. {
        let left = seconds.saturating_sub(start.elapsed().as_secs());
        if left == 0 {
            break;
        }
        restart_with(
            &lab,
            &SETTINGS.map(|(name, value)| (name, Parameter::Number(value))),
        )?;
        let (seed, span) = (seed.to_string(), left.min(SPAN).to_string());
        let mut arguments = vec!["fuzz", "--seed", &seed, "--seconds", &span];
        arguments.extend(["--corpus", r"C:\lab\decode"]);
        let round = env::var(ROUND).ok();
        arguments.extend(round.iter().flat_map(|round| ["--round", round]));
        match probe(&lab, &arguments) {
            Ok(said) => {
                let tally = said.lines().last().context("the probe says nothing")?;
                runs.push(serde_json::from_str(tally)?);
                give(&runs, None)?;
                if round.is_some() {
                    break;
                }
            }
            Err(error) => {
                give(&runs, Some(&format!("seed {seed}: {error:#}")))?;
                return Err(error);
            }
        }
    }
    ensure!(!runs.is_empty(), "no time for a run");
    lab.finish()
}

/// What was tried, and what went wrong.
fn give(runs: &[Value], finding: Option<&str>) -> Result<()> {
    let sum = |key: &str| -> u64 { runs.iter().filter_map(|run| run[key].as_u64()).sum() };
    let findings: Vec<&str> = finding.into_iter().collect();
    report::give(&json!({
        "engine": "random requests",
        "tried": sum("requests"),
        "executions": sum("requests"),
        "failed": findings.len(),
        "findings": findings,
        "rounds": sum("rounds"),
        "runs": runs,
    }))
}

fn number(variable: &str) -> Result<Option<u64>> {
    let text = env::var(variable).ok();
    text.map(|text| text.parse().with_context(|| format!("{variable}={text}")))
        .transpose()
}
