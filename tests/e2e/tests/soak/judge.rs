//! What was found, and whether it is good.

use crate::{
    alive::Alive, honest, hostile, outgoing, plan::Plan, rounds::MOST_AT_ONCE, tally::Tally,
    watch::Sample,
};
use anyhow::{Error, Result, ensure};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tlsgate_e2e::report;

/// A run that is long enough for every kind of peer to come, on a busy host too.
const LONG: Duration = Duration::from_mins(10);

/// Samples that the report has at the most.
const SAMPLES: usize = 200;

/// Of so many honest peers one may run out of patience: the host may be busy with something else.
const PATIENT: u64 = 1_000;

/// Pool that a connection may take at the most, in bytes: its session with all that belongs to it, and what
/// waits for the security subsystem. They took less than 1 KiB; a request with a whole flight takes more.
const POOL_A_CONNECTION: usize = 4 * 1024;

/// Pool of what is inside ksecdd at a time, `LegsInside` at most: a leg whose output does not fit gets as much as
/// `MAX_TOKEN`, 32 KiB.
const POOL_INSIDE: usize = 256 * 32 * 1024;

/// What a process may grow by from the first rests to the last one, in KiB: allocators keep what they had,
/// and keep it in pieces.
const GROWTH: u64 = 16 * 1024;

/// Open files that a process may have more of than at first. Each thread of the machine has some, and the
/// stand-ins have now more threads, now fewer.
const FILES: u64 = 64;

/// What the driver itself says at rest.
const COUNTS_NOTHING: &str = "at rest the driver counts nothing";

/// Everything that was seen.
pub struct Judge {
    plan: Plan,
    tally: Arc<Tally>,
    first: Sample,
    first_alive: Alive,
    samples: Vec<Sample>,
    rests: Vec<Sample>,
    rounds: Vec<Value>,
    checks: Vec<Check>,
}

/// Something that must be so.
struct Check {
    name: &'static str,
    /// Why it is not so.
    fault: Option<String>,
}

impl Judge {
    /// Begins with what is there when nobody is connected.
    pub fn new(plan: Plan, tally: Arc<Tally>, first: Sample) -> Self {
        let counted = counted(&first, &first);
        let mut judge = Self {
            plan,
            tally,
            first_alive: first.alive.at_rest(),
            first,
            samples: Vec::new(),
            rests: Vec::new(),
            rounds: Vec::new(),
            checks: Vec::new(),
        };
        judge.check(COUNTS_NOTHING, counted);
        judge
    }

    /// What every rest must come back to.
    pub const fn first(&self) -> &Alive {
        &self.first_alive
    }

    /// A look while there is load.
    pub fn looked(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    /// A rest.
    pub fn rested(&mut self, weather: &str, changes: u64, connections: u64, rest: Sample) {
        let driver = &rest.alive.driver;
        println!(
            "{:>5} s  {weather}: {connections} connections, {changes} changes; at rest {} pool blocks, {} bytes; \
             peak {} bytes; {} honest failures",
            rest.at.as_secs(),
            driver.pool_blocks,
            driver.pool_bytes,
            driver.pool_bytes_peak,
            self.tally.failed(),
        );
        self.rounds.push(json!({
            "variant": weather,
            "changes": changes,
            "connections": connections,
            "at_rest": rest.row(),
        }));
        let alive = rest.alive.at_rest();
        let left = (alive != self.first_alive).then(|| self.first_alive.differences(&alive));
        self.check("at rest the driver and ksecdd are as at first", left);
        self.check(
            "at rest the driver counts nothing",
            counted(&rest, &self.first),
        );
        self.rests.push(rest);
    }

    /// The run has ended early.
    pub fn broken(&mut self, error: &Error) {
        self.check("the run goes on to its end", Some(format!("{error:#}")));
    }

    /// What can only be said at the end.
    pub fn verdict(&mut self) {
        let (failed, tried) = (self.tally.failed(), self.tally.tried());
        let told = self.tally.failures().join("\n");
        self.check("no honest peer fails", (failed > 0).then(|| told.clone()));
        let late = self.tally.by_deadline();
        let many = late > tried / PATIENT;
        self.check("honest peers need not give up", many.then_some(told));
        self.check("every kind of peer was there", self.missing());
        self.check("the pool's peak is bounded", self.peak());
        self.check("processes do not grow", self.growth());
    }

    fn check(&mut self, name: &'static str, fault: Option<String>) {
        if let Some(fault) = &fault {
            println!("not so: {name}: {fault}");
        }
        self.checks.push(Check { name, fault });
    }

    /// Of a run that was long enough for all.
    fn missing(&self) -> Option<String> {
        if self.plan.length < LONG || self.plan.is_stopped() {
            return None;
        }
        let all = honest::kinds()
            .chain(hostile::kinds())
            .chain(outgoing::kinds());
        let missing: Vec<_> = all.filter(|kind| !self.tally.has(kind)).collect();
        (!missing.is_empty()).then(|| missing.join(", "))
    }

    fn peak(&self) -> Option<String> {
        let last = &self.rests.last().unwrap_or(&self.first).alive.driver;
        let usual = self.first.alive.driver.pool_bytes;
        let most = usual + MOST_AT_ONCE * POOL_A_CONNECTION + POOL_INSIDE;
        let peak = last.pool_bytes_peak;
        (peak > most).then(|| format!("{peak} bytes, more than {most}"))
    }

    /// From the first third of the rests to the last one.
    fn growth(&self) -> Option<String> {
        let early = &self.rests[..self.rests.len() / 3];
        let mut faults = Vec::new();
        for (name, now) in &self.rests.last()?.processes {
            let before = early.iter().filter_map(|rest| rest.processes.get(name));
            if let Some(most) = before.map(|process| process.resident).max()
                && now.resident > most + GROWTH
            {
                faults.push(format!("{name}: {} KiB after {most} KiB", now.resident));
            }
            let files = self.first.processes.get(name).map_or(0, |it| it.files);
            if now.files > files + FILES {
                faults.push(format!("{name}: {} open files after {files}", now.files));
            }
        }
        (!faults.is_empty()).then(|| faults.join("; "))
    }

    fn faults(&self) -> usize {
        let faults = self.checks.iter().filter(|check| check.fault.is_some());
        faults.count()
    }

    /// Whether everything is good.
    pub fn passed(&self) -> Result<()> {
        let faults = self.checks.iter().filter_map(|check| {
            let fault = check.fault.as_ref()?;
            Some(format!("{}: {fault}", check.name))
        });
        let faults: Vec<_> = faults.collect();
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(())
    }

    /// A line for who waits.
    pub fn summary(&self) -> String {
        format!(
            "{} connections, {} checks; {} honest peers failed, {} gave up, {} checks failed",
            self.tally.tried(),
            self.checks.len(),
            self.tally.failed(),
            self.tally.by_deadline(),
            self.faults(),
        )
    }

    /// Gives the report of what is known so far.
    pub fn report(&self) -> Result<()> {
        let step = self.samples.len().div_ceil(SAMPLES).max(1);
        let series = self.samples.iter().step_by(step).map(Sample::row);
        let faults = self.checks.iter().filter_map(|check| {
            let fault = check.fault.as_ref()?;
            Some(json!({ "check": check.name, "fault": fault }))
        });
        let checks = self.checks.len() as u64;
        let counters = &self.rests.last().unwrap_or(&self.first).counters;
        report::give(&json!({
            "tried": self.tally.tried() + checks,
            "failed": self.tally.failed() + self.faults() as u64,
            "by_deadline": self.tally.by_deadline(),
            "seed": self.plan.seed,
            "load_seconds": self.plan.length.as_secs(),
            "checks": checks,
            "faults": faults.collect::<Vec<_>>(),
            "kinds": self.tally.rows(),
            "counters": { "driver": counters["since_load"], "ksecdd": counters["ksecdd"] },
            "at_first": self.first.row(),
            "rounds": self.rounds,
            "series": series.collect::<Vec<_>>(),
        }))
    }
}

/// What the driver counts at rest although nothing is there, by its own words.
fn counted(rest: &Sample, first: &Sample) -> Option<String> {
    let mut faults = Vec::new();
    let none = [
        ("now", "sessions"),
        ("now", "operations_inside"),
        ("now", "operations_waiting"),
        ("now", "orphans"),
        ("now", "quarantined"),
        ("ksecdd", "stray_callbacks"),
        ("ksecdd", "callbacks_lost"),
    ];
    for (group, name) in none {
        let count = &rest.counters[group][name];
        if count != 0 {
            faults.push(format!("{name}: {count}"));
        }
    }
    for name in ["credentials", "threads", "async_contexts"] {
        let (now, before) = (&rest.counters["now"][name], &first.counters["now"][name]);
        if now != before {
            faults.push(format!("{name}: {now} after {before}"));
        }
    }
    (!faults.is_empty()).then(|| faults.join("; "))
}
