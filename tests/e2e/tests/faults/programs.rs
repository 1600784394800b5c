//! Programs that are killed, and a driver that is stopped, at each request of each scenario.

use crate::{
    plan::Plan,
    sweeps::{self, PROBE, SERVICE},
    tally::{Group, Tally},
};
use anyhow::{Context, Result, bail, ensure};
use std::time::{Duration, Instant};
use tlsgate_e2e::Lab;
use tlsgate_lab_control::{
    kmdf::{self, DriverState, Report},
    ksecdd::Completion,
};
use tlsgate_lab_machine::{Running, wait_until};

/// How long what must happen may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What becomes of the program, and how much of the time each takes in percent.
const ENDS: [(End, &str, u32); 2] = [(End::Killed, "kill", 8), (End::Stopped, "stop", 5)];

/// Where in a request.
const DEEDS: [&str; 2] = ["wait-before", "wait"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The program is killed.
    Killed,
    /// The driver is stopped while the program has its handle; then that closes it.
    Stopped,
}

/// A point: a scenario, a request of it, and where in that.
#[derive(Clone, Debug)]
struct Point {
    scenario: String,
    step: usize,
    deed: &'static str,
}

/// All, or as many as there is time for.
pub fn all(mut lab: Lab, plan: &Plan, tally: &mut Tally) -> Result<Lab> {
    for (end, kind, percent) in ENDS {
        let mut points = points(&lab)?;
        fastrand::Rng::with_seed(plan.seed).shuffle(&mut points);
        tally.there_are(kind, points.len());
        let points = plan.part.of(points);
        let limit = Instant::now().checked_add(plan.share(percent));
        let mut group = Group {
            points: u64::try_from(points.len())?,
            kind: kind.to_owned(),
            scenario: "all".to_owned(),
            setting: "usual".to_owned(),
            ..Group::default()
        };
        // Tables grow with the first sessions.
        Paused::at(&lab, &points[0])?.goes(&lab, End::Killed)?;
        let before = report(&lab)?;
        for point in points {
            if limit.is_some_and(|limit| Instant::now() >= limit) {
                break;
            }
            group.tried += 1;
            let done = one(&lab, end, &point, &before);
            let done = lab.machine().check().and(done);
            if let Err(error) = done {
                group.failed += 1;
                tally.failure(format!("{kind}: {point:?}: {error:#}"));
                drop(lab);
                lab = sweeps::lab()?;
            }
        }
        tally.group(group);
        tally.give()?;
    }
    Ok(lab)
}

fn points(lab: &Lab) -> Result<Vec<Point>> {
    let arguments = ["--thumbprint", lab.thumbprint(), "sweep-steps"];
    let said = lab.machine().run_for(PATIENCE, PROBE, &arguments)?;
    let said = said.success()?.stdout;
    let mut points = Vec::new();
    for line in said.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let ["steps", scenario, steps] = words[..] else {
            continue;
        };
        for step in 1..=steps.parse()? {
            points.extend(DEEDS.map(|deed| Point {
                scenario: scenario.to_owned(),
                step,
                deed,
            }));
        }
    }
    ensure!(!points.is_empty(), "no scenarios: {said}");
    Ok(points)
}

fn one(lab: &Lab, end: End, point: &Point, before: &Report) -> Result<()> {
    Paused::at(lab, point)?.goes(lab, end)?;
    if end == End::Stopped {
        lab.machine().run("sc", &["start", SERVICE])?.success()?;
    } else {
        nothing_left(lab, before)?;
    }
    let arguments = ["--thumbprint", lab.thumbprint(), "handshake"];
    lab.machine().run(PROBE, &arguments)?.success()?;
    Ok(())
}

/// A program that waits in a request.
struct Paused(Running);

impl Paused {
    fn at(lab: &Lab, point: &Point) -> Result<Self> {
        let step = point.step.to_string();
        let program = ["--thumbprint", lab.thumbprint(), "sweep-wait"];
        let arguments = [&program[..], &[&point.scenario, &step, point.deed]].concat();
        let running = lab.machine().spawn(PROBE, &arguments)?;
        running.line_after("held")?;
        Ok(Self(running))
    }

    fn goes(mut self, lab: &Lab, end: End) -> Result<()> {
        if end == End::Killed {
            self.0.kill()?;
            return let_go(lab);
        }
        let stopping = lab.machine().spawn("sc", &["stop", SERVICE])?;
        wait_for(lab, "the driver to be stopping", |now| {
            now.state == DriverState::Unloading
        })?;
        ensure!(report(lab)?.files > 0, "the handle went");
        self.0.close_input();
        let code = self.0.end()?;
        ensure!(code == Some(0), "the probe ended with {code:?}");
        lab.complete(Completion::Late)?;
        lab.release(None)?;
        stopping.end()?;
        wait_until("the driver to be stopped", PATIENCE, || {
            let state = lab.machine().run("sc", &["query", SERVICE])?;
            let state = state.success()?.stdout;
            Ok(state.contains("STOPPED").then_some(()))
        })
    }
}

/// The killed program's handle goes, and all that ksecdd held for it.
fn let_go(lab: &Lab) -> Result<()> {
    wait_for(lab, "the handles to go", |now| now.files == 0)?;
    lab.complete(Completion::Late)?;
    wait_until("ksecdd to be clean", PATIENCE, || {
        lab.release(None)?;
        Ok(lab.ksecdd()?.is_clean().then_some(()))
    })
}

fn nothing_left(lab: &Lab, before: &Report) -> Result<()> {
    let counts = |report: &Report| {
        [
            report.pool_blocks,
            report.objects,
            report.requests,
            report.memory,
            report.spin_locks,
            report.tokens,
            report.handles,
            report.references,
        ]
    };
    wait_for(lab, "the framework to be as before", |now| {
        counts(now) == counts(before)
    })
}

fn report(lab: &Lab) -> Result<Report> {
    kmdf::report(&mut lab.machine().remote(kmdf::MODULE)?)
}

fn wait_for(lab: &Lab, what: &str, good: impl Fn(&Report) -> bool) -> Result<()> {
    let waited = wait_until(what, PATIENCE, || Ok(good(&report(lab)?).then_some(())));
    if let Err(error) = waited {
        bail!("{error:#}: {:#?}", report(lab).context("no report")?);
    }
    Ok(())
}
