//! The machine with the packaged driver installed and a test certificate in its store.

use anyhow::{Context, Result, ensure};
use std::env;
use tlsgate_lab_control::{
    Remote, kmdf,
    ksecdd::{self, Answer, Completion, Question, State, Switches},
};
use tlsgate_lab_machine::{Layout, Machine};

/// The program of the package, on the machine.
pub const PROGRAM: &str = r"C:\lab\tlsgate.exe";

/// Names how the kernel SSPI stand-in behaves where Windows leaves it open: a name of
/// [`Switches::named`]. `cargo xtask variants` sets it.
const VARIANT: &str = "TLSGATE_LAB_VARIANT";

/// The driver's service.
const SERVICE_NAME: &str = "TlsGate";

/// The name that test certificates are for.
const NAME: &str = "localhost";

/// How the kernel SSPI stand-in behaves in this run until a test says otherwise.
///
/// # Errors
///
/// There is no variant of that name.
pub fn variant() -> Result<Switches> {
    env::var(VARIANT).map_or_else(
        |_| Ok(Switches::default()),
        |name| Switches::named(&name).with_context(|| format!("no variant {name}")),
    )
}

/// A machine with the driver running.
#[derive(Debug)]
pub struct Lab {
    machine: Machine,
    thumbprint: String,
}

impl Lab {
    /// Powers a machine on, installs the driver as a user would, and makes sure of a certificate.
    /// `progress` is told each step.
    ///
    /// # Errors
    ///
    /// A step failed; the message says which.
    pub fn start(progress: &mut dyn FnMut(&str)) -> Result<Self> {
        let machine = Machine::power_on(&Layout::of_workspace(), progress)?;
        Self::on(machine, progress)
    }

    /// The same with no other machine on: for what measures time or counts threads.
    ///
    /// # Errors
    ///
    /// As for [`Self::start`].
    pub fn start_alone(progress: &mut dyn FnMut(&str)) -> Result<Self> {
        let machine = Machine::power_on_alone(&Layout::of_workspace(), progress)?;
        Self::on(machine, progress)
    }

    /// The same, alone, with the stand-ins that measure the driver and leave costly checks out.
    ///
    /// # Errors
    ///
    /// As for [`Self::start`].
    pub fn start_measuring(progress: &mut dyn FnMut(&str)) -> Result<Self> {
        let machine = Machine::power_on_alone(&Layout::for_measuring(), progress)?;
        Self::on(machine, progress)
    }

    fn on(machine: Machine, progress: &mut dyn FnMut(&str)) -> Result<Self> {
        progress("looking for the test certificate");
        let thumbprint = if let Some(thumbprint) = existing_certificate(&machine)? {
            thumbprint
        } else {
            progress("making a test certificate");
            new_certificate(&machine)?
        };
        let lab = Self {
            machine,
            thumbprint,
        };
        // What a test that failed has left behind would make the next one fail, too.
        lab.machine.forget_parameters(SERVICE_NAME)?;
        progress("installing the driver");
        lab.install()?;
        Ok(lab)
    }

    /// The machine.
    #[must_use]
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The test certificate's thumbprint.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// `tlsgate install`.
    ///
    /// # Errors
    ///
    /// It failed.
    pub fn install(&self) -> Result<()> {
        self.machine
            .run(PROGRAM, &["install"])?
            .success()
            .context("tlsgate install")?;
        match env::var(VARIANT) {
            Ok(name) => self.vary(&name),
            Err(_) => Ok(()),
        }
    }

    /// Has the stand-ins behave as a variant says.
    fn vary(&self, name: &str) -> Result<()> {
        self.ask_ksecdd(&Question::Set(variant()?))?;
        let framework = kmdf::Switches::of_round(name);
        kmdf::set(&mut self.machine.remote(kmdf::MODULE)?, &framework)
    }

    /// `tlsgate uninstall`: the driver is unloaded, which is when the stand-ins look for leaks.
    ///
    /// # Errors
    ///
    /// It failed, or a rule was broken, or the driver left something in ksecdd.
    pub fn uninstall(&self) -> Result<()> {
        self.machine
            .run(PROGRAM, &["uninstall"])?
            .success()
            .context("tlsgate uninstall")?;
        self.machine.check()
    }

    /// Asks the kernel SSPI stand-in.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn ask_ksecdd(&self, question: &Question) -> Result<Answer> {
        let mut remote: Remote = self.machine.remote(ksecdd::MODULE)?;
        remote.ask(question)
    }

    /// When the stand-in completes calls from now on.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn complete(&self, completion: Completion) -> Result<()> {
        self.switch(|switches| switches.completion = completion)
    }

    /// Changes how the stand-in behaves.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) -> Result<()> {
        let mut switches = self.switches()?;
        change(&mut switches);
        self.ask_ksecdd(&Question::Set(switches))?;
        Ok(())
    }

    /// How the stand-in behaves.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn switches(&self) -> Result<Switches> {
        match self.ask_ksecdd(&Question::Switches)? {
            Answer::Switches(switches) => Ok(switches),
            other => anyhow::bail!("not the switches: {other:?}"),
        }
    }

    /// What is alive in the stand-in.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn ksecdd(&self) -> Result<State> {
        match self.ask_ksecdd(&Question::State)? {
            Answer::State(state) => Ok(state),
            other => anyhow::bail!("not the state: {other:?}"),
        }
    }

    /// Lets held calls go: all, or so many. Gives how many.
    ///
    /// # Errors
    ///
    /// The stand-in does not answer.
    pub fn release(&self, count: Option<usize>) -> Result<usize> {
        match self.ask_ksecdd(&Question::Release(count))? {
            Answer::Released(count) => Ok(count),
            other => anyhow::bail!("not a release: {other:?}"),
        }
    }

    /// Uninstalls the driver and powers the machine off.
    ///
    /// # Errors
    ///
    /// Anything was broken, leaked or left behind since the start.
    pub fn finish(self) -> Result<()> {
        self.uninstall()?;
        self.machine.power_off()
    }
}

fn existing_certificate(machine: &Machine) -> Result<Option<String>> {
    let list = machine.run(PROGRAM, &["cert", "list"])?.success()?.stdout;
    Ok(list.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [thumbprint, "key", NAME, ..] => Some(thumbprint.to_owned()),
            _ => None,
        }
    }))
}

fn new_certificate(machine: &Machine) -> Result<String> {
    // The stand-in reads the key out of the store; Windows uses a key in place.
    let arguments = [
        "cert",
        "new",
        "--name",
        NAME,
        "--ip",
        "127.0.0.1",
        "--days",
        "3650",
        "--exportable",
    ];
    let output = machine
        .run(PROGRAM, &arguments)?
        .success()
        .context("tlsgate cert new")?;
    let thumbprint = output.stdout.trim();
    ensure!(thumbprint.len() == 40, "not a thumbprint: {thumbprint}");
    Ok(thumbprint.to_owned())
}
