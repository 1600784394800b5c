//! Programs that go while their legs are inside ksecdd, and a driver that is stopped meanwhile.

use crate::probe::{PROBE, lab, probe};
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tlsgate_e2e::Lab;
use tlsgate_lab_control::{
    kmdf::{self, DriverState, Report},
    ksecdd::Completion,
};
use tlsgate_lab_machine::{Running, wait_until};

/// How long what must happen may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The I/O manager cancels a dying process's requests before EvtFileCleanup; for `CloseHandle`, only
/// EvtFileCleanup tells. The driver must do well either way.
const CANCEL_BEFORE_CLEANUP: [bool; 2] = [false, true];

#[test]
fn a_killed_program_leaves_nothing() -> Result<()> {
    each_way(|lab| {
        holding(lab)?.kill()?;
        let_go(lab)
    })
}

#[test]
fn a_program_that_ends_without_closing_leaves_nothing() -> Result<()> {
    each_way(|lab| {
        probe(lab, &["vanish", "exit"])?;
        let_go(lab)
    })
}

#[test]
fn closed_handles_give_up_their_requests_and_no_others() -> Result<()> {
    each_way(|lab| probe(lab, &["vanish", "close"]).map(drop))
}

#[test]
fn a_driver_that_is_stopped_waits_for_handles_and_callbacks() -> Result<()> {
    let lab = lab()?;
    let mut holding = holding(&lab)?;
    let stopping = lab.machine().spawn("sc", &["stop", "TlsGate"])?;
    wait_for_report(&lab, "the driver to be stopping", |now| {
        now.state == DriverState::Unloading
    })?;
    let held = lab.ksecdd()?.held;
    ensure!(held > 0, "nothing is held");
    ensure!(report(&lab)?.files > 1, "the handles went");

    // Without handles it still waits for the callbacks: its threads are there.
    holding.close_input();
    let code = holding.end()?;
    ensure!(code == Some(0), "the probe ended with {code:?}");
    wait_for_report(&lab, "the handles to go", |now| now.files == 0)?;
    let now = report(&lab)?;
    ensure!(
        now.state == DriverState::Unloading && now.threads > 0 && now.pool_blocks > 0,
        "the driver did not wait for its callbacks: {now:#?}"
    );
    lab.complete(Completion::Late)?;
    let released = lab.release(None)?;
    ensure!(released >= held, "{released} of {held} calls were released");
    stopping.end()?;
    wait_until("the driver to be stopped", PATIENCE, || {
        let state = lab
            .machine()
            .run("sc", &["query", "TlsGate"])?
            .success()?
            .stdout;
        Ok(state.contains("STOPPED").then_some(()))
    })?;
    lab.finish()
}

/// With both orders of a handle's end; the driver is unloaded after each.
fn each_way(scenario: impl Fn(&Lab) -> Result<()>) -> Result<()> {
    let lab = lab()?;
    for cancel_before_cleanup in CANCEL_BEFORE_CLEANUP {
        let switches = kmdf::Switches {
            cancel_before_cleanup,
            ..kmdf::Switches::default()
        };
        kmdf::set(&mut lab.machine().remote(kmdf::MODULE)?, &switches)?;
        scenario(&lab).with_context(|| format!("{switches:?}"))?;
        probe(&lab, &["empty"])?;
        lab.uninstall()?;
        lab.install()?;
    }
    lab.finish()
}

/// A probe whose legs are inside ksecdd.
fn holding(lab: &Lab) -> Result<Running> {
    let arguments = ["--thumbprint", lab.thumbprint(), "vanish", "wait"];
    let running = lab.machine().spawn(PROBE, &arguments)?;
    running.line_after("held")?;
    Ok(running)
}

/// Everything but the held calls goes with the handles; the held calls, now.
fn let_go(lab: &Lab) -> Result<()> {
    wait_for_report(lab, "the handles to go", |now| now.files == 0)?;
    let held = lab.ksecdd()?.held;
    lab.complete(Completion::Late)?;
    let released = lab.release(None)?;
    ensure!(
        held > 0 && released >= held,
        "{released} of {held} calls were released"
    );
    wait_until("ksecdd to be clean", PATIENCE, || {
        Ok(lab.ksecdd()?.is_clean().then_some(()))
    })
}

fn report(lab: &Lab) -> Result<Report> {
    kmdf::report(&mut lab.machine().remote(kmdf::MODULE)?)
}

fn wait_for_report(lab: &Lab, what: &str, good: impl Fn(&Report) -> bool) -> Result<()> {
    wait_until(what, PATIENCE, || Ok(good(&report(lab)?).then_some(())))
}
