//! Calls that do not come back: the request is completed, nothing is freed, and unload waits.

use crate::{
    exports::have_export,
    probe::{lab, lab_with, probe, restart_with},
};
use anyhow::{Result, ensure};
use std::time::Duration;
use tlsgate_e2e::Lab;
use tlsgate_lab_control::kmdf::{self, DriverState, Event, Switches, Trace, Value};
use tlsgate_lab_machine::{Parameter, wait_until};

/// How long what must happen may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The least that is taken for the sake of a short test; a program's time-outs must be longer.
const BOUND: (&str, Parameter) = ("LostCallbackMs", Parameter::Number(200));

#[test]
fn a_lost_callback_ends_the_request_and_nothing_else() -> Result<()> {
    let lab = lab_with(&[BOUND])?;
    probe(&lab, &["callback", "lost"])?;
    lab.finish()
}

#[test]
fn unload_waits_for_a_lost_callback_and_says_so() -> Result<()> {
    let lab = lab_with(&[BOUND])?;
    listen(&lab)?;
    probe(&lab, &["callback", "left"])?;
    ensure!(lab.ksecdd()?.callbacks_owed == 1, "no callback is owed");
    stops_after_a_release(lab)
}

#[test]
fn unload_waits_for_a_call_that_never_ends_and_says_so() -> Result<()> {
    let lab = lab()?;
    listen(&lab)?;
    probe(&lab, &["subsystem", "never"])?;
    ensure!(lab.ksecdd()?.held == 1, "no call is held");
    stops_after_a_release(lab)
}

#[test]
fn where_ksecdd_owes_no_callback_the_driver_goes_on_and_keeps_the_context_for_a_while() -> Result<()>
{
    let lab = lab()?;
    probe(&lab, &["callback", "may-come"])?;
    lab.uninstall()?;
    have_export(&lab)?;
    lab.install()?;
    restart_with(&lab, &[BOUND])?;
    probe(&lab, &["callback", "not-owed"])?;
    lab.finish()
}

#[test]
fn a_slow_subsystem_is_reported_and_its_answer_delivered() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["subsystem", "slow"])?;
    lab.finish()
}

fn listen(lab: &Lab) -> Result<()> {
    let switches = Switches {
        trace: Some(Trace::EVERYTHING),
        ..Switches::default()
    };
    kmdf::set(&mut lab.machine().remote(kmdf::MODULE)?, &switches)
}

/// Stops the driver, which waits for what is still inside ksecdd, however long that takes; then lets
/// that go.
fn stops_after_a_release(lab: Lab) -> Result<()> {
    let stopping = lab.machine().spawn("sc", &["stop", "TlsGate"])?;
    let mut remote = lab.machine().remote(kmdf::MODULE)?;
    let event = wait_until("the driver to say that it waits", PATIENCE, || {
        kmdf::advance_time(&mut remote, 1_000)?;
        let events = kmdf::events(&mut remote, 0)?;
        Ok(events.into_iter().find(|it| it.name == "UnloadWaiting"))
    })?;
    let expected = Value::Unsigned(1);
    let Event { fields, level, .. } = &event;
    ensure!(
        fields.get("operations") == Some(&expected) && *level == 4,
        "{event:?}"
    );
    let now = kmdf::report(&mut remote)?;
    ensure!(
        now.state == DriverState::Unloading && now.threads > 0 && now.pool_blocks > 0,
        "the driver did not wait: {now:#?}"
    );
    let released = lab.release(None)?;
    ensure!(released == 1, "{released} calls were released");
    stopping.end()?;
    wait_until("the driver to be stopped", PATIENCE, || {
        let query = lab.machine().run("sc", &["query", "TlsGate"])?;
        let state = query.success()?.stdout;
        Ok(state.contains("STOPPED").then_some(()))
    })?;
    lab.finish()
}
