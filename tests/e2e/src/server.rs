//! `tlsgate serve` on the machine, and where it listens.

use crate::lab::{Lab, PROGRAM};
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use tlsgate_lab_machine::Running;

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    running: Running,
    address: SocketAddr,
}

impl Server {
    /// Starts `tlsgate serve` with the test certificate on a port of the system's choosing.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start(lab: &Lab, alpn: &str) -> Result<Self> {
        let further: &[&str] = if alpn.is_empty() {
            &[]
        } else {
            &["--alpn", alpn]
        };
        Self::start_with(lab, further)
    }

    /// The same with these further arguments.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start_with(lab: &Lab, further: &[&str]) -> Result<Self> {
        Self::start_of(lab, &[lab.thumbprint()], further)
    }

    /// The same with these certificates in place of the test certificate.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start_of(lab: &Lab, certificates: &[&str], further: &[&str]) -> Result<Self> {
        let mut arguments = vec!["serve", "--listen", "127.0.0.1:0"];
        for certificate in certificates {
            arguments.extend(["--cert", certificate]);
        }
        arguments.extend(further);
        arguments.push("--until-stdin-closes");
        let running = lab.machine().spawn(PROGRAM, &arguments)?;
        let address = running.line_after("listening on ")?;
        let address = address
            .trim()
            .parse()
            .with_context(|| format!("not an address: {address}"))?;
        Ok(Self { running, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The program.
    #[must_use]
    pub const fn running(&self) -> &Running {
        &self.running
    }

    /// Has it use these certificates for new connections, in place of those so far: thumbprints with
    /// spaces between. What it says to that is on its outputs.
    ///
    /// # Errors
    ///
    /// It does not listen.
    pub fn renew(&mut self, thumbprints: &str) -> Result<()> {
        self.running.say(thumbprints)
    }

    /// Ends it as a user would.
    ///
    /// # Errors
    ///
    /// It does not end, or with a failure.
    pub fn stop(mut self) -> Result<()> {
        self.running.close_input();
        let code = self.running.end()?;
        ensure!(code == Some(0), "tlsgate serve ended with {code:?}");
        Ok(())
    }

    /// Kills it, as a crash would.
    ///
    /// # Errors
    ///
    /// It could not be killed.
    pub fn kill(self) -> Result<()> {
        self.running.kill()
    }
}
