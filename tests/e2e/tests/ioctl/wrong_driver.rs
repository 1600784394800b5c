//! The lab's rules: a driver that breaks each of them once is caught each time, by the rule's name.

use crate::probe::PROBE;
use anyhow::Result;
use std::time::Duration;
use tlsgate_lab_machine::{Layout, Machine};

#[test]
fn every_broken_rule_is_caught() -> Result<()> {
    let machine = Machine::power_on(&Layout::of_workspace(), &mut |_| {})?;
    let limit = Duration::from_secs(120);
    let said = machine.run_for(limit, PROBE, &["wrong"])?.success()?.stdout;
    print!("{said}");
    machine.forget_stops()?;
    machine.power_off()
}
