//! What the stand-ins count, and what of it must be the same whenever nobody is connected.

use anyhow::{Result, bail};
use std::collections::BTreeMap;
use tlsgate_e2e::Lab;
use tlsgate_lab_control::{
    Remote,
    kmdf::{self, Report},
    ksecdd::{self, Answer, Question, State},
};

/// Connections to both stand-ins.
pub struct StandIns {
    kmdf: Remote,
    ksecdd: Remote,
}

/// What they count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alive {
    /// The driver's objects, pool, threads, handles and tokens.
    pub driver: Report,
    /// Its contexts and calls.
    pub ksecdd: State,
}

impl StandIns {
    /// Connects to them.
    pub fn connect(lab: &Lab) -> Result<Self> {
        Ok(Self {
            kmdf: lab.machine().remote(kmdf::MODULE)?,
            ksecdd: lab.machine().remote(ksecdd::MODULE)?,
        })
    }

    /// Asks both.
    pub fn alive(&mut self) -> Result<Alive> {
        // In this order: what ksecdd has given back, the driver may still have to free.
        let ksecdd = match self.ksecdd.ask(&Question::State)? {
            Answer::State(state) => state,
            other => bail!("not the state: {other:?}"),
        };
        Ok(Alive {
            driver: kmdf::report(&mut self.kmdf)?,
            ksecdd,
        })
    }
}

impl Alive {
    /// Nothing is on its way.
    pub fn is_quiet(&self) -> bool {
        self.driver.requests == 0 && self.ksecdd.in_flight == 0 && self.ksecdd.contexts == 0
    }

    /// Without what only ever grows.
    pub fn at_rest(&self) -> Self {
        Self {
            driver: Report {
                pool_bytes_peak: 0,
                pool_allocations: 0,
                entry_allocations: 0,
                stack: BTreeMap::new(),
                ioctls: 0,
                completions: 0,
                cancellations: 0,
                event_writes: 0,
                ..self.driver.clone()
            },
            ksecdd: State {
                most_in_flight: 0,
                calls: BTreeMap::new(),
                completions: BTreeMap::new(),
                acquired: Vec::new(),
                ..self.ksecdd.clone()
            },
        }
    }

    /// Where two of them differ, a field a line.
    pub fn differences(&self, other: &Self) -> String {
        let lines = |alive: &Self| format!("{alive:#?}").lines().map(str::to_owned).collect();
        let (ours, theirs): (Vec<String>, Vec<String>) = (lines(self), lines(other));
        let pairs = ours
            .iter()
            .zip(&theirs)
            .filter(|(ours, theirs)| ours != theirs);
        let told = pairs.map(|(ours, theirs)| format!("{} was {}", theirs.trim(), ours.trim()));
        told.collect::<Vec<_>>().join("; ")
    }
}
