//! What legs and sessions cost in memory.

use crate::probe::{lab_with, probe};
use anyhow::Result;
use tlsgate_lab_machine::Parameter;

/// In steady state no leg asks the pool for memory; a leg inside ksecdd and an idle session have little of it.
#[test]
fn legs_and_sessions_are_frugal() -> Result<()> {
    // The probe has a thousand legs inside at a time.
    let room = Parameter::Number(2_048);
    let lab = lab_with(&[
        ("LegsInside", room),
        ("LegsInsideLeast", room),
        ("LegsInsidePerHandle", room),
    ])?;
    probe(&lab, &["frugal"])?;
    lab.finish()
}
