//! `cargo xtask soak`: a long mixed load on one machine. `cargo xtask test` has a short one run beside its
//! other checks.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    build::{self, Tools},
    layout::Layout,
    process, report,
    report::Awaited,
    step::{Step, Steps},
    test::host_cargo,
};

/// What the run reads: see `tests/e2e/tests/soak/plan.rs`.
pub const SECONDS: &str = "TLSGATE_SOAK_SECONDS";
const SEED: &str = "TLSGATE_SOAK_SEED";
const UNTIL_STDIN_CLOSES: &str = "TLSGATE_SOAK_UNTIL_STDIN_CLOSES";

/// Names the disk of a machine that runs beside another one: see `tests/lab/machine/src/layout.rs`.
const PREFIX: &str = "TLSGATE_LAB_PREFIX";

/// How long the short run is, in minutes.
const SHORT: u64 = 5;

/// What the short run lets go first: everything else.
const NICE: &str = "10";

/// Runs for so many minutes with this seed, or with one of the moment, and writes `target/reports/soak.json`.
///
/// # Errors
///
/// A build failed, or the run found something.
pub fn run(layout: &Layout, steps: &Steps, minutes: u64, seed: Option<u64>) -> Result<()> {
    let tools = Tools::ready(layout, steps)?;
    build::all(layout, &tools, steps)?;
    let seed = seed.map_or_else(of_the_moment, Ok)?;
    let words = format!("cargo xtask soak --minutes {minutes} --seed {seed}");
    steps.loud(&format!("soak, {minutes} minutes"), || {
        let mut command = host_cargo(layout.root(), "test");
        report::of_run(layout, "soak", &words, soak(&mut command, minutes, seed))
    })
}

/// A short run that goes on in the background, on a machine of its own.
pub struct Beside {
    layout: Layout,
    child: Child,
    awaited: Awaited,
    log: PathBuf,
}

impl Beside {
    /// Starts it. What it says goes to a file; everything else has the processors first.
    ///
    /// # Errors
    ///
    /// It cannot be built or started.
    pub fn start(layout: &Layout, step: &Step) -> Result<Self> {
        let mut build = host_cargo(layout.root(), "test");
        process::run(build.args(TEST).arg("--no-run"), step)?;
        let seed = of_the_moment()?;
        step.note(&format!("seed {seed}"));
        let awaited = Awaited::prepare(layout, "soak-short")?;
        let log = layout.root().join("target/reports/soak-short.log");
        let output = File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let cargo = host_cargo(layout.root(), "test");
        let mut command = Command::new("nice");
        command
            .current_dir(layout.root())
            .args(["-n", NICE])
            .arg(cargo.get_program())
            .args(cargo.get_args());
        soak(&mut command, SHORT, seed)
            .env(UNTIL_STDIN_CLOSES, "1")
            .env(PREFIX, layout.root().join("target/lab/soak"))
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output);
        awaited.wanted_of(&mut command);
        let child = command.spawn().context("cannot start the soak")?;
        Ok(Self {
            layout: layout.clone(),
            child,
            awaited,
            log,
        })
    }

    /// Waits for its end, and writes `target/reports/soak-short.json`.
    ///
    /// # Errors
    ///
    /// It found something; the message has what it said.
    pub fn end(mut self) -> Result<()> {
        // Waiting closes the input of a child that still has one; for this one that would be the end.
        let input = self.child.stdin.take();
        let status = self.child.wait()?;
        drop(input);
        let said = fs::read_to_string(&self.log)?;
        let ended = (|| {
            ensure!(status.success(), "{status}\n{said}");
            Ok(())
        })();
        self.awaited
            .write(&self.layout, "cargo xtask test", ended)?;
        match said
            .lines()
            .find(|line| line.contains("honest peers failed"))
        {
            Some(summary) => println!("           {summary}"),
            None => bail!("it has not said how it ended:\n{said}"),
        }
        Ok(())
    }
}

impl Drop for Beside {
    /// When another step has failed: has it come to its end, and the machine switched off.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Fails only for what has been waited for.
        let _ended = self.child.wait();
    }
}

/// The test that is the run.
const TEST: [&str; 5] = ["--locked", "-p", "tlsgate-e2e", "--test", "soak"];

fn soak(command: &mut Command, minutes: u64, seed: u64) -> &mut Command {
    command
        .args(TEST)
        .args(["--", "--nocapture"])
        .env(SECONDS, (minutes * 60).to_string())
        .env(SEED, seed.to_string())
}

/// Another one each time; it is in the report.
fn of_the_moment() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}
