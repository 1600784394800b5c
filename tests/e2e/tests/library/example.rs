//! An example of the library that runs as a server on the machine.

use anyhow::{Context, Result, ensure};
use std::{net::SocketAddr, time::Duration};
use tlsgate_e2e::Lab;
use tlsgate_lab_machine::{Output, Running, wait_until};

/// How long an example may take to say what is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program of an example, on the machine.
fn program(name: &str) -> String {
    format!(r"C:\lab\{name}.exe")
}

/// Runs an example to its end.
pub fn run(lab: &Lab, name: &str, arguments: &[&str]) -> Result<Output> {
    lab.machine().run(&program(name), arguments)
}

/// A server that runs.
pub struct Example {
    running: Running,
    address: SocketAddr,
}

impl Example {
    /// Starts it on a port of the system's choosing.
    pub fn start(lab: &Lab, name: &str, arguments: &[&str]) -> Result<Self> {
        let listen = ["--listen", "127.0.0.1:0", "--until-stdin-closes"];
        let arguments = [arguments, &listen].concat();
        let running = lab.machine().spawn(&program(name), &arguments)?;
        let address = running
            .line_after("listening on ")
            .context(name.to_owned())?;
        let address = address.trim().parse()?;
        Ok(Self { running, address })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has complained of this.
    pub fn complains_of(&self, what: &str) -> Result<()> {
        let complained = wait_until("a complaint", PATIENCE, || {
            Ok(self.running.stderr()?.contains(what).then_some(()))
        });
        complained.with_context(|| format!("no {what:?} in {:?}", self.running.stderr()))
    }

    /// Threads that its process has.
    pub fn threads(&self) -> Result<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.id()))?;
        let count = status
            .lines()
            .find_map(|line| line.strip_prefix("Threads:"));
        Ok(count.context("no count of threads")?.trim().parse()?)
    }

    /// Ends it as a user would.
    pub fn stop(mut self) -> Result<()> {
        self.running.close_input();
        let code = self.running.end()?;
        ensure!(code == Some(0), "it ended with {code:?}");
        Ok(())
    }
}
