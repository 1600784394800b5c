//! The driver's start without the first, the second, the third ... allocation: it fails, says why, and leaves
//! nothing; the next start works.

use crate::{
    plan::Plan,
    sweeps::PROBE,
    tally::{Group, Tally},
};
use anyhow::{Result, bail, ensure};
use std::time::Instant;
use tlsgate_e2e::{Lab, PROGRAM};
use tlsgate_lab_control::kmdf::{self, Answer, Question, Switches, Trace, Value};

/// `STATUS_INSUFFICIENT_RESOURCES`
const NO_MEMORY: u64 = 0xC000_009A;

/// Of the time there is, in percent.
const PERCENT: u32 = 5;

/// All in turn, or five of them where there is little time.
pub fn all(lab: &Lab, plan: &Plan, tally: &mut Tally) -> Result<()> {
    let limit = Instant::now().checked_add(plan.share(PERCENT));
    let mut group = Group {
        kind: "start".to_owned(),
        scenario: "all".to_owned(),
        setting: "usual".to_owned(),
        ..Group::default()
    };
    lab.uninstall()?;
    let allocations = of_a_start(lab)?;
    group.points = allocations;
    tally.there_are("start", usize::try_from(allocations)?);
    let mut all: Vec<_> = (0..allocations).collect();
    fastrand::Rng::with_seed(plan.seed).shuffle(&mut all);
    for after in plan.part.of(all) {
        if limit.is_some_and(|limit| Instant::now() >= limit) && group.tried > 4 {
            break;
        }
        group.tried += 1;
        if let Err(error) = one(lab, after) {
            group.failed += 1;
            tally.failure(format!("start: without allocation {after}: {error:#}"));
        }
    }
    // And with memory it starts.
    lab.machine().begin_with(&Switches::default())?;
    lab.install()?;
    let arguments = ["--thumbprint", lab.thumbprint(), "handshake"];
    lab.machine().run(PROBE, &arguments)?.success()?;
    tally.group(group);
    tally.give()
}

/// How many allocations a start makes.
fn of_a_start(lab: &Lab) -> Result<u64> {
    lab.machine().begin_with(&Switches {
        record_sites: true,
        ..Switches::default()
    })?;
    lab.install()?;
    let mut remote = lab.machine().remote(kmdf::MODULE)?;
    let Answer::Sites(sites) = remote.ask(&Question::Sites)? else {
        bail!("no sites");
    };
    lab.uninstall()?;
    let asked = sites.values().map(|site| site.given).sum();
    ensure!(asked > 0, "a start without any allocation");
    Ok(asked)
}

/// Whether the driver starts although this allocation fails; it is gone again after that.
fn starts_without(lab: &Lab, after: u64) -> Result<bool> {
    lab.machine().begin_with(&Switches {
        fail_allocation_after: Some(after),
        trace: Some(Trace::EVERYTHING),
        ..Switches::default()
    })?;
    let has_started = lab.machine().run(PROGRAM, &["install"])?.code == Some(0);
    lab.machine().check()?;
    if has_started {
        lab.uninstall()?;
    }
    Ok(has_started)
}

fn one(lab: &Lab, after: u64) -> Result<()> {
    let known = lab.machine().logged_events()?.len();
    if starts_without(lab, after)? {
        bail!("it started");
    }
    let events = lab.machine().logged_events()?;
    let [event] = events.get(known..).unwrap_or_default() else {
        bail!("not one event: {events:?}");
    };
    ensure!(
        event.name == "StartFailed"
            && event.fields.get("ntstatus") == Some(&Value::Unsigned(NO_MEMORY)),
        "{event:?}"
    );
    Ok(())
}
