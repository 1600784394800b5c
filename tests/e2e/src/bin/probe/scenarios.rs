//! The command line: one scenario a run.

use crate::{
    bench::Bench, cancel, crowd, deadlines, faults, garbage, ids, malformed, memory, opening, race,
    records, states, vanish, wrong,
};
use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::time::Duration;
use tlsgate_client::Thumbprint;

/// How long a scenario may take.
const LIMIT: Duration = Duration::from_secs(100);

#[derive(Parser)]
#[command(about = "Asks the driver what no well-behaved program asks")]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
    /// The test certificate's.
    #[arg(
        long,
        global = true,
        default_value = "0000000000000000000000000000000000000000"
    )]
    thumbprint: Thumbprint,
}

#[derive(Subcommand)]
enum Scenario {
    /// Requests that ksecdd holds are cancelled.
    CancelHeld,
    /// Legs are cancelled while they complete.
    CancelRace,
    /// Leaves legs inside ksecdd, and goes.
    Vanish {
        /// How it goes.
        #[arg(value_enum)]
        end: vanish::End,
    },
    /// Nothing is left of whoever was here before.
    Empty,
    /// Credentials that cannot be had.
    WrongCertificate,
    /// Requests that are not what they should be.
    Malformed,
    /// Requests of random bytes, and codes that mean nothing.
    Garbage,
    /// Ids that name nothing.
    Ids,
    /// Requests that the session's state does not allow.
    States,
    /// Many records a call.
    Records,
    /// Opening with a name, and acquiring with weak tokens.
    Opening,
    /// A thousand legs inside ksecdd.
    Crowd,
    /// Handles opened and closed with sessions on them.
    Cycles,
    /// One handshake.
    Handshake,
    /// Requests that are not done in their time.
    Deadlines,
    /// Calls that ksecdd refuses or fails.
    Refusals,
    /// The ways ksecdd may call back.
    Callbacks,
    /// No memory, at every allocation in turn.
    Memory,
    /// The wrong driver breaks a rule.
    Wrong {
        /// The fault's function code.
        function: u32,
    },
}

/// Runs the scenario of the command line.
pub fn run() -> Result<()> {
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?
        .block_on(async {
            tokio::time::timeout(LIMIT, scenario(&arguments))
                .await
                .context("the scenario does not end")?
        })
}

async fn scenario(arguments: &Arguments) -> Result<()> {
    if let Scenario::Wrong { function } = arguments.scenario {
        return wrong::commit_one(function).await;
    }
    let mut bench = Bench::open(arguments.thumbprint)?;
    match arguments.scenario {
        Scenario::CancelHeld => cancel::held(&mut bench).await?,
        Scenario::CancelRace => race::all(&mut bench).await?,
        Scenario::Vanish { end } => return vanish::vanish(bench, end).await,
        Scenario::WrongCertificate => opening::wrong_certificate(&bench).await?,
        Scenario::Malformed => malformed::all(&mut bench).await?,
        Scenario::Garbage => garbage::all(&bench).await?,
        Scenario::Ids => ids::all(&bench).await?,
        Scenario::States => states::all(&mut bench).await?,
        Scenario::Records => records::all(&mut bench).await?,
        Scenario::Opening => opening::all(&mut bench).await?,
        Scenario::Crowd => crowd::all(&mut bench).await?,
        Scenario::Cycles => crowd::cycles(&mut bench).await?,
        Scenario::Deadlines => deadlines::all(&mut bench).await?,
        Scenario::Handshake => bench.whole_handshake().await?,
        Scenario::Refusals => faults::refusals(&mut bench).await?,
        Scenario::Callbacks => faults::callbacks(&mut bench).await?,
        Scenario::Memory => memory::all(&mut bench).await?,
        Scenario::Empty | Scenario::Wrong { .. } => {}
    }
    bench.empty().await
}
