//! Deadlines: requests whose time runs out are given up, and what is inside ksecdd is not.

use crate::probe::{lab_with, probe};
use anyhow::Result;
use tlsgate_lab_machine::Parameter;

#[test]
fn requests_are_given_up_when_their_time_has_run_out_and_never_early() -> Result<()> {
    let lab = lab_with(&[
        ("LegsInside", Parameter::Number(2)),
        ("LegsInsidePerHandle", Parameter::Number(2)),
        ("HandshakeTimeoutMs", Parameter::Number(100_000)),
        ("HandshakeTimeoutMostMs", Parameter::Number(200_000)),
    ])?;
    probe(&lab, &["deadlines"])?;
    lab.finish()
}
