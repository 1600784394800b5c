//! Running the program, and what it leaves.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{fs, time::Duration};
use tlsgate_e2e::{Lab, PROGRAM};
use tlsgate_lab_machine::Output;

/// Longer than any command here takes.
const LIMIT: Duration = Duration::from_mins(4);

/// Where reports go, on the machine.
const REPORT: (&str, &str) = (r"C:\lab\selftest.json", "selftest.json");

/// The stand-in reads keys out of the store.
pub const EXPORTABLE: &str = "--exportable-keys";

/// Runs the program to its end.
pub fn run(lab: &Lab, arguments: &[&str]) -> Result<Output> {
    let output = lab.machine().run_for(LIMIT, PROGRAM, arguments)?;
    // A broken rule explains everything else.
    lab.machine()
        .check()
        .with_context(|| format!("{arguments:?}\n{}{}", output.stdout, output.stderr))?;
    Ok(output)
}

/// `tlsgate selftest` with these further arguments, and its report.
pub fn selftest(lab: &Lab, arguments: &[&str]) -> Result<(Output, Value)> {
    let (place, name) = REPORT;
    let file = lab.machine().lab().join(name);
    if file.exists() {
        fs::remove_file(&file)?;
    }
    let fixed = ["selftest", EXPORTABLE, "--report", place];
    let output = run(lab, &[&fixed, arguments].concat())?;
    let report = fs::read(&file).with_context(|| format!("no report: {output:?}"))?;
    Ok((output, serde_json::from_slice(&report)?))
}

/// The outcome of a case in a report.
pub fn outcome<'a>(report: &'a Value, case: &str) -> Result<&'a str> {
    let cases = report["cases"].as_array().context("no cases")?;
    let entry = cases.iter().find(|it| it["name"] == case);
    let entry = entry.with_context(|| format!("no case {case}: {report}"))?;
    entry["outcome"].as_str().context("no outcome")
}

/// How many certificates of a run are in the machine's stores.
pub fn left(lab: &Lab) -> Result<usize> {
    let mut left = 0;
    for store in ["MY", "ROOT"] {
        let list = run(lab, &["cert", "list", "--store", store])?.success()?;
        left += list.stdout.matches("TlsGate selftest").count();
    }
    Ok(left)
}

/// The program's certificates are gone.
pub fn nothing_is_left(lab: &Lab) -> Result<()> {
    let left = left(lab)?;
    ensure!(left == 0, "{left} certificates are left in the stores");
    Ok(())
}
