//! ETW: what the driver tells whoever listens, and that it costs nothing when nobody does.

use crate::probe::{lab, probe};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use tlsgate_e2e::PROGRAM;
use tlsgate_lab_control::kmdf::{self, Switches, Trace, Value};

/// `STATUS_INSUFFICIENT_RESOURCES`
const NO_MEMORY: u64 = 0xC000_009A;

#[test]
fn nothing_is_written_while_nobody_listens() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["handshake"])?;
    let report = kmdf::report(&mut lab.machine().remote(kmdf::MODULE)?)?;
    ensure!(report.providers == 1, "{report:?}");
    ensure!(report.event_writes == 0, "{report:?}");
    lab.uninstall()?;
    ensure!(lab.machine().logged_events()?.is_empty());
    lab.install()?;
    lab.finish()
}

#[test]
fn a_sessions_life_is_told_to_who_listens_and_to_nobody_else() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["events"])?;
    lab.finish()
}

#[test]
fn a_start_without_memory_is_an_event() -> Result<()> {
    let lab = lab()?;
    lab.uninstall()?;
    lab.machine().begin_with(&Switches {
        fail_allocation_after: Some(0),
        trace: Some(Trace::EVERYTHING),
        ..Switches::default()
    })?;
    let install = lab.machine().run(PROGRAM, &["install"])?;
    ensure!(install.code != Some(0), "started without memory");
    lab.machine().check()?;
    let events = lab.machine().logged_events()?;
    let [event] = events.as_slice() else {
        anyhow::bail!("not one event: {events:?}");
    };
    let expected = BTreeMap::from([
        ("what".to_owned(), Value::Text("resources".into())),
        ("ntstatus".to_owned(), Value::Unsigned(NO_MEMORY)),
    ]);
    ensure!(event.name == "StartFailed" && event.level == 2, "{event:?}");
    ensure!(event.fields == expected, "{event:?}");
    ensure!(event.provider == "TlsGate", "{event:?}");
    ensure!(
        event.identifier == "d0abeb88-2f9d-5c8e-084e-76aee76d0f1d",
        "{event:?}"
    );
    // And with memory it starts.
    lab.machine().begin_with(&Switches::default())?;
    lab.install()?;
    lab.finish()
}
