//! Time-outs of acquisitions and handshakes, in the driver's unbiased time.

use crate::probe::{lab, probe};
use anyhow::Result;

#[test]
fn what_is_not_done_in_its_time_is_given_up() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["deadlines"])?;
    lab.finish()
}
