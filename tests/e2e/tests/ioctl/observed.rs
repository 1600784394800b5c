//! What ksecdd may say, and what the driver counts of it.

use crate::probe::{lab, probe};
use anyhow::Result;

#[test]
fn every_status_has_the_outcome_of_the_table() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["statuses"])?;
    lab.finish()
}

#[test]
fn the_drivers_counts_are_those_of_ksecdd() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["measured"])?;
    lab.finish()
}
