//! The lab's rules: a driver that breaks each of them once is caught each time, by the rule's name.

use crate::probe::PROBE;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};
use tlsgate_lab_control::kmdf::{self, faults::Fault};
use tlsgate_lab_machine::{Layout, Machine, Parameter};

/// Faults of one run of the probe, and how long that may take.
const AT_ONCE: usize = 16;
const LIMIT: Duration = Duration::from_mins(2);

/// Those that read values of their service's Parameters key.
const READERS: [Fault; 5] = [
    Fault::RegistryRight,
    Fault::RegistryWrite,
    Fault::KeyLeftOpen,
    Fault::EmptyValueAsString,
    Fault::ShortValueAsNumber,
];

#[test]
fn every_broken_rule_is_caught() -> Result<()> {
    let start = Instant::now();
    let layout = Layout::of_workspace();
    let machine = Machine::power_on(&layout, &mut |_| {})?;
    let readers = READERS.map(kmdf::service);
    let readers: Vec<&str> = readers.iter().map(String::as_str).collect();
    let values = [
        ("Number", Parameter::Number(7)),
        ("Text", Parameter::Text("abc")),
        ("Empty", Parameter::Raw(1, &[])),
        ("Short", Parameter::Raw(4, &[7, 0, 0])),
    ];
    machine.set_parameters(&readers, &values)?;
    let faults: Vec<Fault> = [Fault::Nothing, Fault::Pending]
        .iter()
        .chain(Fault::ALL)
        .copied()
        .collect();
    let mut said = BTreeMap::new();
    for faults in faults.chunks(AT_ONCE) {
        commit(&machine, faults, &mut said)?;
    }
    machine.forget_stops()?;
    machine.power_off()?;
    give(&layout, start, &said)?;
    let missed: Vec<_> = said.iter().filter(|said| said.1 != CAUGHT).collect();
    ensure!(
        missed.is_empty(),
        "{} of {} faults were missed: {missed:#?}",
        missed.len(),
        faults.len()
    );
    Ok(())
}

/// What the probe says of a fault that the lab has named by its rule, and of what is right and was let pass.
const CAUGHT: &str = "caught";

/// Has the probe commit faults, and notes what it said of each.
fn commit(machine: &Machine, faults: &[Fault], said: &mut BTreeMap<String, String>) -> Result<()> {
    let functions: Vec<String> = faults.iter().map(|&it| (it as u32).to_string()).collect();
    let arguments: Vec<&str> = std::iter::once("wrong")
        .chain(functions.iter().map(String::as_str))
        .collect();
    let output = machine.run_for(LIMIT, PROBE, &arguments)?.success()?;
    for (fault, line) in faults.iter().zip(output.stdout.lines()) {
        println!("{fault:?}: {line}");
        let (_function, rest) = line.split_once(' ').context("no function code")?;
        let (_milliseconds, judged) = rest.split_once(' ').context("no time")?;
        said.insert(format!("{fault:?}"), judged.to_owned());
    }
    let judged = output.stdout.lines().count();
    ensure!(judged == faults.len(), "{judged} judged of {faults:?}");
    Ok(())
}

/// For `cargo xtask rules`, and `test`: what became of each fault.
fn give(layout: &Layout, start: Instant, said: &BTreeMap<String, String>) -> Result<()> {
    let file = layout.prefix.with_file_name("rules.json");
    let body = json!({ "seconds": start.elapsed().as_secs(), "faults": said });
    fs::write(&file, serde_json::to_vec_pretty(&body)?)
        .with_context(|| format!("writing {}", file.display()))
}
