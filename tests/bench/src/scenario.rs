//! The scenarios by name.

use crate::{Gate, Results, Site};
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How much is done for a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Effort {
    /// Rounds of a comparison; in each, either side has its turn.
    pub rounds: usize,
    /// How long a turn lasts.
    pub turn: Duration,
    /// Most sessions that are open at once.
    pub sessions: usize,
    /// Of what is random.
    pub seed: u64,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            rounds: 11,
            turn: Duration::from_millis(500),
            sessions: 100_000,
            seed: 1,
        }
    }
}

/// A scenario.
pub struct Scenario {
    /// What it is asked for by.
    pub name: &'static str,
    /// What it finds out.
    pub about: &'static str,
    /// Does it.
    pub run: fn(&dyn Gate, &Site, Effort) -> Result<Results>,
}

/// Every scenario, in the report's order.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "handshakes",
        about: "handshakes a second, against rustls called directly",
        run: crate::handshakes::run,
    },
    Scenario {
        name: "cost",
        about: "the driver's time and allocations over a handshake",
        run: crate::cost::run,
    },
    Scenario {
        name: "records",
        about: "SEAL and UNSEAL, against rustls called directly",
        run: crate::records::run,
    },
    Scenario {
        name: "memory",
        about: "memory of a leg in flight and of an idle session",
        run: crate::memory::run,
    },
    Scenario {
        name: "crowd",
        about: "cost of a leg among few and many open sessions",
        run: crate::crowd::run,
    },
    Scenario {
        name: "load",
        about: "a slow engine: up to 10,000 legs in flight, against parked threads",
        run: crate::load::run,
    },
    Scenario {
        name: "flood",
        about: "a slow engine: a good client's legs, with and without a flood of half-open handshakes",
        run: crate::flood::run,
    },
];

/// Runs one scenario.
///
/// # Errors
///
/// There is none of this name, or something went wrong that must not.
pub fn run(gate: &dyn Gate, site: &Site, name: &str, effort: Effort) -> Result<Results> {
    let Some(scenario) = SCENARIOS.iter().find(|scenario| scenario.name == name) else {
        bail!("no scenario {name:?}");
    };
    (scenario.run)(gate, site, effort)
}
