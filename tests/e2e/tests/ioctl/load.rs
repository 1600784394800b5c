//! Many legs, many handles, many lives of the driver.

use crate::probe::{lab, lab_with, probe, restart_with};
use anyhow::Result;
use tlsgate_lab_machine::Parameter;

/// Times that the driver is installed.
const LIVES: usize = 5;

/// With the usual settings most of them wait for admission; with room for all, all are inside
/// ksecdd.
#[test]
fn ten_thousand_legs_pend_on_few_threads() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["crowd", "192"])?;
    let room = Parameter::Number(16_384);
    restart_with(
        &lab,
        &[
            ("LegsInside", room),
            ("LegsInsideLeast", room),
            ("LegsInsidePerHandle", room),
        ],
    )?;
    probe(&lab, &["crowd", "10000"])?;
    lab.finish()
}

#[test]
fn one_leg_beside_two_thousand_of_another_handle_waits_a_turn() -> Result<()> {
    let room = Parameter::Number(16);
    let lab = lab_with(&[("LegsInside", room), ("LegsInsidePerHandle", room)])?;
    probe(&lab, &["fairness"])?;
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
