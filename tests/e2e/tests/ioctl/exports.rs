//! Functions that not every ksecdd.sys exports: found where they are, done without where not.

use crate::probe::{lab, probe};
use anyhow::{Result, ensure};
use std::fs;
use tlsgate_e2e::{Lab, PROGRAM};

/// The stand-in with the export, among the lab's modules.
const WITH_EXPORT: &str = "ksecdd-requires-notify.sys";

#[test]
fn optional_exports_are_told_apart() -> Result<()> {
    let lab = lab()?;
    let said = told(&lab)?;
    ensure!(said.contains("absent"), "not there, but found: {said}");
    lab.uninstall()?;

    have_export(&lab)?;
    lab.install()?;
    let said = told(&lab)?;
    ensure!(said.contains("present"), "there, but not found: {said}");
    probe(&lab, &["handshake"])?;
    lab.finish()
}

/// Gives the machine the stand-in with the export, until the next power-on puts the lab's own modules
/// back. The driver must be uninstalled.
pub fn have_export(lab: &Lab) -> Result<()> {
    let module = lab.machine().drivers().join("ksecdd.sys");
    fs::copy(lab.machine().lab().join(WITH_EXPORT), module)?;
    lab.machine().restart()
}

/// What `tlsgate doctor` says of the export.
fn told(lab: &Lab) -> Result<String> {
    let said = lab.machine().run(PROGRAM, &["doctor"])?.success()?.stdout;
    let line = said
        .lines()
        .find(|line| line.contains("SspiAsyncContextRequiresNotify"));
    Ok(line.unwrap_or_default().to_owned())
}
