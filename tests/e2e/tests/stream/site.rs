//! A lab with a server in it, and what both must come to when a scenario is over.

use crate::{
    client::Client,
    crowd,
    socket::{self, PATIENCE},
};
use anyhow::{Context, Result, bail};
use openssl::ssl::SslVersion;
use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpStream},
    time::Instant,
};
use tlsgate_e2e::{Lab, Server};
use tlsgate_lab_control::{
    kmdf::{self, Report},
    ksecdd::{Completion, State},
};
use tlsgate_lab_machine::wait_until;

const COMPLETIONS: [Completion; 3] = [Completion::Inline, Completion::Early, Completion::Late];

/// So much of what the server said is shown with a failure.
const LAST_LINES: usize = 10;

/// A server that runs in a lab.
pub struct Site<'a> {
    /// The lab.
    pub lab: &'a Lab,
    /// When the calls of the driver complete.
    pub completion: Completion,
    address: SocketAddr,
}

/// Runs a scenario for each way that asynchronous calls complete, with a server that was started
/// with these further arguments. Afterwards nothing of it may be left.
pub fn each_completion(
    name: &str,
    arguments: &[&str],
    scenario: impl Fn(&Site) -> Result<()>,
) -> Result<()> {
    each_way(name, |lab, completion| {
        let server = Server::start_with(lab, arguments)?;
        let site = Site {
            lab,
            completion,
            address: server.address(),
        };
        if let Err(error) = scenario(&site) {
            let said = server.running().stderr()?;
            let lines: Vec<&str> = said.lines().collect();
            let said = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
            return Err(error.context(format!("the server said:\n{said}")));
        }
        server.stop()
    })
}

/// The same for a scenario that starts by itself what it needs.
pub fn each_completion_alone(name: &str, scenario: impl Fn(&Lab) -> Result<()>) -> Result<()> {
    each_way(name, |lab, _| scenario(lab))
}

fn each_way(name: &str, scenario: impl Fn(&Lab, Completion) -> Result<()>) -> Result<()> {
    let lab = Lab::start(&mut |_| {})?;
    for completion in COMPLETIONS {
        lab.complete(completion)?;
        let started = Instant::now();
        let played = scenario(&lab, completion);
        println!(
            "{name}, {completion:?}: {:.1} s",
            started.elapsed().as_secs_f32()
        );
        if let Err(error) = played {
            // A broken rule is the better explanation.
            lab.machine().check()?;
            return Err(error.context(format!("{name}, {completion:?}")));
        }
        wait_until("ksecdd to have everything back", PATIENCE, || {
            Ok(lab.ksecdd()?.is_clean().then_some(()))
        })?;
    }
    lab.finish()
}

impl Site<'_> {
    /// A new connection to the server.
    pub fn socket(&self) -> Result<TcpStream> {
        socket::connect(self.address).context("connecting")
    }

    /// Makes sure that the server still serves.
    pub fn serves(&self) -> Result<()> {
        Client::new(SslVersion::TLS1_3)?
            .plainly(self.socket()?)
            .context("no longer serves")?;
        Ok(())
    }

    /// What is alive when many clients have come and gone: what a scenario must come back to.
    pub fn idle(&self) -> Result<Alive> {
        let fresh = wait_until("the server to be ready", PATIENCE, || {
            let alive = self.alive()?;
            let quiet = alive.ksecdd.in_flight == 0 && alive.driver.requests == 0;
            Ok(quiet.then_some(alive))
        })?;
        crowd::visit(self, || Ok(()))?;
        // The handle's table of sessions is one block of the pool from the first session on.
        let idle = Alive {
            driver: Report {
                pool_blocks: fresh.driver.pool_blocks + 1,
                ..fresh.driver
            },
            ..fresh
        };
        self.settles(&idle)?;
        Ok(idle)
    }

    /// Waits until no more is alive than there was.
    pub fn settles(&self, before: &Alive) -> Result<()> {
        let mut last = None;
        let settled = wait_until("everything to be given back", PATIENCE, || {
            let alive = self.alive()?;
            let settled = alive == *before;
            last = Some(alive);
            Ok(settled.then_some(()))
        });
        if settled.is_err() {
            bail!("not given back: it was {before:#?}\nand is {last:#?}");
        }
        Ok(())
    }

    /// Bytes that the driver has of the pool.
    pub fn pool_bytes(&self) -> Result<usize> {
        Ok(self.counted()?.pool_bytes)
    }

    fn counted(&self) -> Result<Report> {
        kmdf::report(&mut self.lab.machine().remote(kmdf::MODULE)?)
    }

    fn alive(&self) -> Result<Alive> {
        // In this order: what ksecdd has given back, the driver may still have to free.
        let ksecdd = self.lab.ksecdd()?;
        Ok(Alive {
            driver: Report {
                // Tables stay as large as they had to be at once: the number of blocks tells.
                pool_bytes: 0,
                pool_bytes_peak: 0,
                pool_allocations: 0,
                entry_allocations: 0,
                stack: BTreeMap::new(),
                ioctls: 0,
                completions: 0,
                cancellations: 0,
                ..self.counted()?
            },
            ksecdd: State {
                most_in_flight: 0,
                calls: BTreeMap::new(),
                completions: BTreeMap::new(),
                ..ksecdd
            },
        })
    }
}

/// What the stand-ins count that can go down again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alive {
    /// The driver's objects, pool, threads, handles and tokens.
    pub driver: Report,
    /// Its contexts and calls.
    pub ksecdd: State,
}
