//! Looks at everything: the driver, ksecdd, the driver's own counters, and the processes.

use crate::{
    alive::{Alive, StandIns},
    fleet::Fleet,
    processes::{self, Process},
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};
use tlsgate_e2e::{Lab, PROGRAM};
use tlsgate_lab_machine::{Running, wait_until};

/// How long everything may take to be given back once all connections are closed.
const SETTLED: Duration = Duration::from_mins(1);

/// Seconds between two tellings of the driver's counters.
const EVERY: &str = "2";

/// Who looks.
pub struct Watch {
    stand_ins: StandIns,
    /// `tlsgate stats`, again and again.
    counters: Running,
    last: Value,
    processes: Vec<(&'static str, u32)>,
    began: Instant,
}

/// What is seen at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Since the run began.
    pub at: Duration,
    /// What the stand-ins count.
    pub alive: Alive,
    /// The driver's counters as `tlsgate stats --json` told them last.
    pub counters: Value,
    /// The processes by name.
    pub processes: BTreeMap<&'static str, Process>,
}

impl Watch {
    /// Begins to look at the machine, and these programs on it.
    pub fn start(lab: &Lab, fleet: &Fleet) -> Result<Self> {
        let arguments = ["stats", "--watch", EVERY, "--json"];
        let counters = lab.machine().spawn(PROGRAM, &arguments)?;
        let last = serde_json::from_str(&counters.line()?)?;
        let prefix = lab.machine().lab();
        let prefix = prefix.ancestors().nth(2).context("no prefix")?;
        let mut processes = fleet.processes();
        for (name, program) in [("kernel", "winedevice.exe"), ("wineserver", "wineserver")] {
            let running = processes::running(prefix, program)?;
            ensure!(!running.is_empty(), "no process of {program}");
            processes.extend(running.into_iter().map(|id| (name, id)));
        }
        Ok(Self {
            stand_ins: StandIns::connect(lab)?,
            counters,
            last,
            processes,
            began: Instant::now(),
        })
    }

    /// What is there now.
    pub fn sample(&mut self) -> Result<Sample> {
        if let Some(line) = self.counters.last_line_so_far() {
            self.last = serde_json::from_str(&line)?;
        }
        let mut processes: BTreeMap<&'static str, Process> = BTreeMap::new();
        for (name, id) in &self.processes {
            let one = processes::look(*id).with_context(|| format!("{name}: process {id}"))?;
            // Drivers may have several processes.
            let sum = processes.entry(name).or_default();
            sum.resident += one.resident;
            sum.files += one.files;
            sum.threads += one.threads;
        }
        Ok(Sample {
            at: self.began.elapsed(),
            alive: self.stand_ins.alive()?,
            counters: self.last.clone(),
            processes,
        })
    }

    /// What is there once nobody is connected: as it was at first, or as it stays.
    pub fn settled(&mut self, first: Option<&Alive>) -> Result<Sample> {
        let wait = wait_until("everything to be given back", SETTLED, || {
            let alive = self.stand_ins.alive()?;
            if !alive.is_quiet() {
                return Ok(None);
            }
            if let Some(first) = first {
                return Ok((alive.at_rest() == *first).then_some(()));
            }
            // Without an example: what has not changed for a while.
            thread::sleep(Duration::from_secs(2));
            let later = self.stand_ins.alive()?;
            Ok((alive.at_rest() == later.at_rest()).then_some(()))
        });
        // That it does not become so is for whoever compares.
        let _in_time = wait.is_ok();
        // The counters are of a moment ago: the next ones are of now.
        let _old = self.counters.last_line_so_far();
        self.last = serde_json::from_str(&self.counters.line()?)?;
        let mut sample = self.sample()?;
        if let Some(first) = first
            && wait.is_ok()
        {
            // The counters were asked for by a request, which may just have been there again.
            sample.alive = wait_until("the last request's end", SETTLED, || {
                let alive = self.stand_ins.alive()?;
                Ok((alive.at_rest() == *first).then_some(alive))
            })?;
        }
        Ok(sample)
    }

    /// Ends it.
    pub fn stop(self) -> Result<()> {
        self.counters.kill()
    }
}

impl Sample {
    /// A row of the report.
    pub fn row(&self) -> Value {
        let (driver, ksecdd) = (&self.alive.driver, &self.alive.ksecdd);
        let now = &self.counters["now"];
        let processes = self.processes.iter();
        let processes: BTreeMap<_, _> = processes
            .map(|(name, it)| {
                let row = json!({ "rss_kib": it.resident, "fds": it.files, "threads": it.threads });
                (*name, row)
            })
            .collect();
        json!({
            "second": self.at.as_secs(),
            "pool_blocks": driver.pool_blocks,
            "pool_bytes": driver.pool_bytes,
            "objects": driver.objects,
            "requests": driver.requests,
            "threads": driver.threads,
            "handles": driver.handles,
            "references": driver.references,
            "tokens": driver.tokens,
            "files": driver.files,
            "contexts": ksecdd.contexts,
            "credentials": ksecdd.credentials,
            "async_contexts": ksecdd.async_contexts,
            "in_flight": ksecdd.in_flight,
            "sessions": now["sessions"],
            "waiting": now["operations_waiting"],
            "orphans": now["orphans"],
            "quarantined": now["quarantined"],
            "processes": processes,
        })
    }
}
