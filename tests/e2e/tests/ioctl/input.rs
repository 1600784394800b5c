//! Bad input: each mistake gets its documented status, changes nothing, and loses nothing.

use crate::probe::{lab, probe};
use anyhow::{Result, ensure};
use tlsgate_e2e::PROGRAM;

#[test]
fn malformed_requests_are_refused() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["malformed"])?;
    lab.finish()
}

#[test]
fn garbage_and_unknown_codes_are_refused() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["garbage"])?;
    lab.finish()
}

#[test]
fn ids_that_name_nothing_are_refused() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["ids"])?;
    lab.finish()
}

#[test]
fn requests_at_the_wrong_time_are_refused() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["states"])?;
    lab.finish()
}

#[test]
fn names_and_weak_tokens_are_refused() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["opening"])?;
    lab.finish()
}

#[test]
fn a_wrong_certificate_is_told_and_leaves_nothing() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["wrong-certificate"])?;
    let absent = "A5".repeat(20);
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--cert", &absent];
    let output = lab.machine().run(PROGRAM, &arguments)?;
    ensure!(
        output.code.is_some_and(|code| code != 0)
            && output.stderr.contains("AcquireCredential")
            && output.stderr.contains("SEC_E_NO_CREDENTIALS"),
        "tlsgate serve with a wrong thumbprint: {output:?}"
    );
    lab.finish()
}
