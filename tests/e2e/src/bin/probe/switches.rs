//! The stand-ins' switches and counts, from the machine's side.

use anyhow::{Result, bail};
use std::{collections::BTreeMap, path::Path, time::Duration};
use tlsgate_lab_control::{
    FOLDER, Remote,
    kmdf::{self, Event, Found, Report, Site, Trace},
    ksecdd::{self, Completion, Effect, Fault, Function, State},
};
use tlsgate_lab_machine::wait_until;

/// How long a stand-in may take to leave its port number once it is loaded: its loader does not wait
/// for that, and so neither does the driver's start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Both stand-ins.
pub struct StandIns {
    kmdf: Remote,
    ksecdd: Remote,
}

impl StandIns {
    /// Connects to both.
    pub fn connect() -> Result<Self> {
        Ok(Self {
            kmdf: connect(kmdf::MODULE)?,
            ksecdd: connect(ksecdd::MODULE)?,
        })
    }

    /// When ksecdd completes calls from now on.
    pub fn complete(&mut self, completion: Completion) -> Result<()> {
        self.ksecdd(|switches| switches.completion = completion)
    }

    /// Has the stand-ins behave as they usually do.
    pub fn usual(&mut self) -> Result<()> {
        self.ksecdd(|switches| *switches = ksecdd::Switches::default())?;
        self.kmdf(|switches| {
            switches.callback_irql = kmdf::CallbackIrql::Dispatch;
            // Else a handle's close looks like a cancellation.
            switches.cancel_before_cleanup = false;
        })
    }

    /// Changes how ksecdd behaves.
    pub fn ksecdd(&mut self, change: impl FnOnce(&mut ksecdd::Switches)) -> Result<()> {
        let mut switches = self.ksecdd_switches()?;
        change(&mut switches);
        let _before: ksecdd::Answer = self.ksecdd.ask(&ksecdd::Question::Set(switches))?;
        Ok(())
    }

    /// The next calls of a function go wrong, one after the other; all other faults are off.
    pub fn fault(&mut self, function: Function, effects: &[Effect]) -> Result<()> {
        let faults = (1..).zip(effects).map(|(nth, &effect)| Fault {
            function,
            nth,
            effect,
        });
        let faults = faults.collect();
        self.ksecdd(|switches| switches.faults = faults)
    }

    /// Changes how the framework behaves.
    pub fn kmdf(&mut self, change: impl FnOnce(&mut kmdf::Switches)) -> Result<()> {
        let kmdf::Answer::Switches(mut switches) = self.kmdf.ask(&kmdf::Question::Switches)? else {
            bail!("the framework does not tell its switches");
        };
        change(&mut switches);
        kmdf::set(&mut self.kmdf, &switches)
    }

    /// Lets so many milliseconds pass at once.
    pub fn advance(&mut self, milliseconds: u64) -> Result<()> {
        kmdf::advance_time(&mut self.kmdf, milliseconds)
    }

    /// Lets the machine have slept for so many milliseconds.
    pub fn sleep(&mut self, milliseconds: u64) -> Result<()> {
        kmdf::sleep(&mut self.kmdf, milliseconds)
    }

    /// Has somebody listen to every event of the driver, or nobody to any.
    pub fn listen(&mut self, listen: bool) -> Result<()> {
        self.kmdf(|switches| switches.trace = listen.then_some(Trace::EVERYTHING))
    }

    /// The driver's events after the one of this number.
    pub fn events(&mut self, after: u64) -> Result<Vec<Event>> {
        kmdf::events(&mut self.kmdf, after)
    }

    /// Where these bytes lie in what the driver has and had.
    pub fn search(&mut self, needle: &[u8]) -> Result<Found> {
        kmdf::search(&mut self.kmdf, needle)
    }

    /// Lets every held call go; gives how many.
    pub fn release(&mut self) -> Result<usize> {
        self.release_some(None)
    }

    /// Lets so many held calls go, oldest first; gives how many.
    pub fn release_some(&mut self, count: Option<usize>) -> Result<usize> {
        match self.ksecdd.ask(&ksecdd::Question::Release(count))? {
            ksecdd::Answer::Released(count) => Ok(count),
            other => bail!("not a release: {other:?}"),
        }
    }

    /// What is alive in ksecdd.
    pub fn state(&mut self) -> Result<State> {
        match self.ksecdd.ask(&ksecdd::Question::State)? {
            ksecdd::Answer::State(state) => Ok(state),
            other => bail!("not the state: {other:?}"),
        }
    }

    /// Whether the fault that was set has been taken.
    pub fn is_fault_taken(&mut self) -> Result<bool> {
        Ok(self.ksecdd_switches()?.faults.is_empty())
    }

    /// Whether ksecdd makes alerts of what is out of band.
    pub fn makes_alerts(&mut self) -> Result<bool> {
        Ok(self.ksecdd_switches()?.out_of_band_alert)
    }

    /// Whether ksecdd gives session tickets.
    pub fn gives_tickets(&mut self) -> Result<bool> {
        Ok(self.ksecdd_switches()?.session_tickets)
    }

    /// How often memory was asked for, and given or not.
    pub fn asked_for_memory(&mut self) -> Result<u64> {
        let sites = self.sites()?;
        Ok(sites.values().map(|site| site.given + site.refused).sum())
    }

    /// Where in the driver memory was asked for.
    pub fn sites(&mut self) -> Result<BTreeMap<String, Site>> {
        match self.kmdf.ask(&kmdf::Question::Sites)? {
            kmdf::Answer::Sites(sites) => Ok(sites),
            other => bail!("not the sites: {other:?}"),
        }
    }

    fn ksecdd_switches(&mut self) -> Result<ksecdd::Switches> {
        match self.ksecdd.ask(&ksecdd::Question::Switches)? {
            ksecdd::Answer::Switches(switches) => Ok(switches),
            other => bail!("not the switches: {other:?}"),
        }
    }

    /// What is alive in the framework.
    pub fn report(&mut self) -> Result<Report> {
        kmdf::report(&mut self.kmdf)
    }
}

/// Connects to a stand-in, which may still be on its way in.
pub fn connect(module: &str) -> Result<Remote> {
    let mut last = None;
    wait_until(
        &format!("the control port of {module}"),
        PATIENCE,
        || match Remote::connect(Path::new(FOLDER), module) {
            Ok(remote) => Ok(Some(remote)),
            Err(error) => {
                last = Some(error);
                Ok(None)
            }
        },
    )
    .map_err(|error| last.take().unwrap_or(error))
}
