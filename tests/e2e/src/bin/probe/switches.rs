//! The stand-ins' switches and counts, from the machine's side.

use anyhow::{Result, bail};
use std::{path::Path, time::Duration};
use tlsgate_lab_control::{
    FOLDER, Remote,
    kmdf::{self, Report},
    ksecdd::{self, Completion, State},
};

/// Both stand-ins.
pub struct StandIns {
    kmdf: Remote,
    ksecdd: Remote,
}

impl StandIns {
    /// Connects to both.
    pub fn connect() -> Result<Self> {
        let folder = Path::new(FOLDER);
        Ok(Self {
            kmdf: Remote::connect(folder, kmdf::MODULE)?,
            ksecdd: Remote::connect(folder, ksecdd::MODULE)?,
        })
    }

    /// When ksecdd completes calls from now on.
    pub fn complete(&mut self, completion: Completion) -> Result<()> {
        self.ksecdd(|switches| switches.completion = completion)
    }

    /// Changes how ksecdd behaves.
    pub fn ksecdd(&mut self, change: impl FnOnce(&mut ksecdd::Switches)) -> Result<()> {
        let ksecdd::Answer::Switches(mut switches) =
            self.ksecdd.ask(&ksecdd::Question::Switches)?
        else {
            bail!("ksecdd does not tell its switches");
        };
        change(&mut switches);
        let _before: ksecdd::Answer = self.ksecdd.ask(&ksecdd::Question::Set(switches))?;
        Ok(())
    }

    /// Changes how the framework behaves.
    pub fn kmdf(&mut self, change: impl FnOnce(&mut kmdf::Switches)) -> Result<()> {
        let kmdf::Answer::Switches(mut switches) = self.kmdf.ask(&kmdf::Question::Switches)? else {
            bail!("the framework does not tell its switches");
        };
        change(&mut switches);
        kmdf::set(&mut self.kmdf, &switches)
    }

    /// Lets every held call go; gives how many.
    pub fn release(&mut self) -> Result<usize> {
        match self.ksecdd.ask(&ksecdd::Question::Release(None))? {
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

    /// Lets time pass at once.
    pub fn advance_time(&mut self, time: Duration) -> Result<()> {
        kmdf::advance_time(&mut self.kmdf, u64::try_from(time.as_millis())?)
    }

    /// Lets the machine have slept.
    pub fn sleep(&mut self, time: Duration) -> Result<()> {
        kmdf::sleep(&mut self.kmdf, u64::try_from(time.as_millis())?)
    }

    /// What is alive in the framework.
    pub fn report(&mut self) -> Result<Report> {
        kmdf::report(&mut self.kmdf)
    }
}
