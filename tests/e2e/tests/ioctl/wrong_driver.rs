//! The lab's rules: a driver that breaks each of them once is caught each time, by the rule's name.

use crate::probe::PROBE;
use anyhow::{Result, ensure};
use tlsgate_lab_control::kmdf::faults::{Caught, Fault, SERVICE_NAME};
use tlsgate_lab_machine::{Layout, Machine, Parameter};

#[test]
fn every_broken_rule_is_caught() -> Result<()> {
    let machine = Machine::power_on(&Layout::of_workspace(), &mut |_| {})?;
    for (name, value) in [
        ("Number", Parameter::Number(7)),
        ("Text", Parameter::Text("abc")),
        ("Empty", Parameter::Raw(1, &[])),
        ("Short", Parameter::Raw(4, &[7, 0, 0])),
    ] {
        machine.set_parameter(SERVICE_NAME, name, value)?;
    }
    let mut missed = Vec::new();
    for &fault in [Fault::Nothing, Fault::Pending].iter().chain(Fault::ALL) {
        let output = machine.run(PROBE, &["wrong", &(fault as u32).to_string()])?;
        if output.code != Some(0) {
            missed.push(format!("{fault:?}: {}", output.stderr));
        }
        // A driver that was stopped in the middle leaves names behind in Wine's kernel.
        if fault.caught() != Caught::Never {
            machine.restart()?;
        }
    }
    machine.forget_stops()?;
    machine.power_off()?;
    ensure!(
        missed.is_empty(),
        "{} of the rules were missed:\n{}",
        missed.len(),
        missed.join("\n")
    );
    Ok(())
}
