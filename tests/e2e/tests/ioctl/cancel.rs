//! Cancelled requests: the caller is free at once, the call inside ksecdd lives on as an orphan.

use crate::probe::{lab, probe};
use anyhow::Result;

#[test]
fn a_held_request_is_cancelled_at_once_and_its_orphan_reclaimed() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["cancel-held"])?;
    lab.finish()
}

#[test]
fn cancellation_races_with_completion() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["cancel-race"])?;
    lab.finish()
}
