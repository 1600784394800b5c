//! Cancelled requests: the caller is free at once, the call inside ksecdd lives on as an orphan.

use crate::probe::{lab, lab_with, probe};
use anyhow::Result;
use tlsgate_lab_machine::Parameter;

#[test]
fn a_held_request_is_cancelled_at_once_and_its_orphan_reclaimed() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["cancel-held"])?;
    lab.finish()
}

#[test]
fn a_request_that_waits_for_admission_is_cancelled_and_makes_no_call() -> Result<()> {
    let one = Parameter::Number(1);
    let lab = lab_with(&[("LegsInside", one), ("LegsInsidePerHandle", one)])?;
    probe(&lab, &["cancel-waiting"])?;
    lab.finish()
}

#[test]
fn cancellation_races_with_completion() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["cancel-race"])?;
    lab.finish()
}
