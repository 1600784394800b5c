//! What can go wrong below the driver: ksecdd refuses or fails, or there is no memory.

use crate::probe::{lab, probe};
use anyhow::Result;

#[test]
fn refused_and_failed_calls_are_told_and_leave_nothing() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["refusals"])?;
    lab.finish()
}

#[test]
fn every_way_of_calling_back_is_borne() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["callbacks"])?;
    lab.finish()
}

#[test]
fn every_allocation_may_fail() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["memory"])?;
    lab.finish()
}
