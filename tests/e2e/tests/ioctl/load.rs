//! Many legs, many handles, many lives of the driver.

use crate::probe::{lab, probe};
use anyhow::Result;

/// Times that the driver is installed.
const LIVES: usize = 5;

#[test]
fn a_thousand_legs_pend_on_few_threads() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["crowd"])?;
    lab.finish()
}

#[test]
fn handles_opened_and_closed_leave_nothing() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["cycles"])?;
    lab.finish()
}

#[test]
fn the_driver_comes_and_goes() -> Result<()> {
    let lab = lab()?;
    for _ in 0..LIVES {
        probe(&lab, &["handshake"])?;
        lab.uninstall()?;
        lab.install()?;
    }
    lab.finish()
}
