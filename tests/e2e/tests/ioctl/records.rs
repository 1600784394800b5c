//! Many records a call, seen by a program that keeps to no library's habits.

use crate::probe::{lab, probe};
use anyhow::Result;

#[test]
fn many_records_a_call() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["records"])?;
    lab.finish()
}
