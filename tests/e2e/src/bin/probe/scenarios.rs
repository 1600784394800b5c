//! The command line: one scenario a run.

use crate::{
    bench::Bench, cancel, crowd, deadlines, events, exhaust, fairness, faults, frugal, fuzz,
    garbage, ids, lost, malformed, measured, memory, neighbour, opening, quotas, race, records,
    replies, residue, states, statuses, steady, subsystem, sweep, switched_off, vanish, wrong,
};
use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use std::{path::PathBuf, time::Duration};
use tlsgate::Thumbprint;

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
    /// Requests that wait for admission are cancelled.
    CancelWaiting,
    /// Legs are cancelled while they complete.
    CancelRace,
    /// Leaves legs inside ksecdd, and goes.
    Vanish {
        /// How it goes.
        #[arg(value_enum)]
        end: vanish::End,
    },
    /// Says its ids, and for each line on its input, what it can still do.
    Neighbour,
    /// Tries another program's ids.
    Stranger {
        /// Its credential.
        credential: u64,
        /// Its sessions.
        sessions: Vec<u64>,
    },
    /// Takes all that one handle can have.
    Exhaust {
        /// Of what.
        #[arg(value_enum)]
        thing: exhaust::Thing,
    },
    /// Begins a handshake every so often.
    Steady,
    /// Begins handshakes and does not go on with them.
    Flood {
        /// So many at a time.
        at_once: usize,
    },
    /// Every kind of reply.
    Replies,
    /// What is left of tokens and plaintext.
    Residue,
    /// Leaves tokens inside ksecdd, and waits to be killed.
    LeaveTokens,
    /// Nothing is left of whoever was here before.
    Empty,
    /// Credentials that cannot be had.
    WrongCertificate,
    /// Requests that are not what they should be.
    Malformed,
    /// Requests of random bytes, and codes that mean nothing.
    Garbage,
    /// Random requests of several handles at once.
    Fuzz {
        /// What is drawn comes from it.
        #[arg(long)]
        seed: u64,
        /// For so long.
        #[arg(long)]
        seconds: u64,
        /// Only this round of the seed.
        #[arg(long)]
        round: Option<u64>,
        /// A folder with requests of other tests: `tests/fuzz/corpus/decode`.
        #[arg(long)]
        corpus: PathBuf,
    },
    /// Ids that name nothing.
    Ids,
    /// Requests that the session's state does not allow.
    States,
    /// Many records a call.
    Records,
    /// Opening with a name, and acquiring with weak tokens.
    Opening,
    /// Ten thousand legs.
    Crowd {
        /// How many of them may be inside ksecdd.
        inside: usize,
    },
    /// What legs and sessions cost in memory.
    Frugal,
    /// Requests whose time runs out.
    Deadlines,
    /// The one request too many.
    Quotas {
        /// Which quotas are small.
        #[arg(value_enum)]
        quota: quotas::Quota,
    },
    /// Callbacks that do not come.
    Callback {
        /// What becomes of them.
        #[arg(value_enum)]
        callback: lost::Callback,
    },
    /// A security subsystem that takes its time.
    Subsystem {
        /// How long.
        #[arg(value_enum)]
        subsystem: subsystem::Subsystem,
    },
    /// Two thousand legs of one handle, and one of another.
    Fairness,
    /// Every status, of every call.
    Statuses,
    /// What the driver counts of ksecdd.
    Measured,
    /// Every IOCTL while some are switched off.
    SwitchedOff {
        /// Which: the mask of the protocol.
        mask: u32,
    },
    /// So many settings were no good.
    Ignored {
        /// How many.
        settings: u64,
    },
    /// ETW events of a session's life.
    Events,
    /// Handles opened and closed with sessions on them.
    Cycles,
    /// One handshake.
    Handshake,
    /// Calls that ksecdd refuses or fails.
    Refusals,
    /// The ways ksecdd may call back.
    Callbacks,
    /// No memory, at every allocation in turn.
    Memory,
    /// Everything goes wrong, one thing at a time.
    Sweep(sweep::Order),
    /// How many requests each scenario of the sweep sends.
    SweepSteps,
    /// Plays a scenario of the sweep up to a request, and waits there.
    SweepWait {
        /// Which scenario.
        scenario: String,
        /// Which request, counted from 1.
        step: usize,
        /// Before it, or while it is inside ksecdd.
        #[arg(value_enum)]
        deed: sweep::Deed,
    },
    /// The wrong driver breaks rules, one after the other.
    Wrong {
        /// The faults' function codes.
        functions: Vec<u32>,
    },
}

impl Scenario {
    /// How long it may take. A sweep has limits of its own, one for each of its points.
    fn limit(&self) -> Duration {
        match self {
            Self::Sweep(_) | Self::SweepSteps | Self::SweepWait { .. } => Duration::MAX,
            Self::Fuzz { seconds, .. } => LIMIT + Duration::from_secs(*seconds),
            _ => LIMIT,
        }
    }

    /// What it looks at are numbers, of calls, milliseconds or IRQLs, that depend on how the stand-ins are
    /// set: it runs under their usual settings, whatever the variant.
    const fn counts_what_depends_on_switches(&self) -> bool {
        matches!(
            self,
            Self::CancelWaiting
                | Self::Fairness
                | Self::Crowd { .. }
                | Self::Frugal
                | Self::Events
                | Self::Callback { .. }
        )
    }
}

/// Runs the scenario of the command line.
pub fn run() -> Result<()> {
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?
        .block_on(async {
            let limit = arguments.scenario.limit();
            tokio::time::timeout(limit, scenario(arguments))
                .await
                .context("the scenario does not end")?
        })
}

async fn scenario(arguments: Arguments) -> Result<()> {
    if let Scenario::Wrong { functions } = &arguments.scenario {
        return wrong::commit_all(functions).await;
    }
    let mut bench = Bench::open(arguments.thumbprint)?;
    if arguments.scenario.counts_what_depends_on_switches() {
        bench.lab.usual()?;
    }
    match arguments.scenario {
        Scenario::CancelHeld => cancel::held(&mut bench).await?,
        Scenario::CancelWaiting => cancel::waiting(&mut bench).await?,
        Scenario::CancelRace => race::all(&mut bench).await?,
        Scenario::Vanish { end } => return vanish::vanish(bench, end).await,
        Scenario::Neighbour => neighbour::work(&mut bench).await?,
        Scenario::Stranger {
            credential,
            ref sessions,
        } => return neighbour::stranger(&bench, credential, sessions).await,
        Scenario::Exhaust { thing } => return exhaust::take(&mut bench, thing).await,
        Scenario::Steady => steady::load(&mut bench).await?,
        Scenario::Flood { at_once } => return steady::flood(&bench, at_once).await,
        Scenario::Replies => replies::all(&bench).await?,
        Scenario::Residue => residue::all(&mut bench).await?,
        Scenario::LeaveTokens => return residue::leave(&mut bench).await,
        Scenario::WrongCertificate => opening::wrong_certificate(&bench).await?,
        Scenario::Malformed => malformed::all(&mut bench).await?,
        Scenario::Garbage => garbage::all(&bench).await?,
        Scenario::Fuzz {
            seed,
            seconds,
            round,
            corpus,
        } => {
            let options = fuzz::Options {
                seed,
                duration: Duration::from_secs(seconds),
                round,
            };
            let sent = fuzz::Sent::read(&corpus)?;
            fuzz::all(&mut bench, options, &sent).await?;
        }
        Scenario::Ids => ids::all(&bench).await?,
        Scenario::States => states::all(&mut bench).await?,
        Scenario::Records => records::all(&mut bench).await?,
        Scenario::Opening => opening::all(&mut bench).await?,
        Scenario::Crowd { inside } => crowd::all(&mut bench, inside).await?,
        Scenario::Frugal => frugal::all(&mut bench).await?,
        Scenario::Deadlines => deadlines::all(&mut bench).await?,
        Scenario::Quotas { quota } => quotas::all(&mut bench, quota).await?,
        Scenario::Callback { callback } => lost::all(&mut bench, callback).await?,
        Scenario::Events => events::all(&mut bench).await?,
        Scenario::Subsystem { subsystem } => subsystem::all(&mut bench, subsystem).await?,
        Scenario::Fairness => fairness::all(&mut bench).await?,
        Scenario::Statuses => statuses::all(&mut bench).await?,
        Scenario::Measured => measured::all(&mut bench).await?,
        Scenario::SwitchedOff { mask } => switched_off::all(&mut bench, mask).await?,
        Scenario::Ignored { settings } => {
            let ignored = bench.statistics().await?.settings_ignored;
            ensure!(ignored == settings, "{ignored} settings were ignored");
        }
        Scenario::Cycles => crowd::cycles(&mut bench).await?,
        Scenario::Handshake => bench.whole_handshake().await?,
        Scenario::Refusals => faults::refusals(&mut bench).await?,
        Scenario::Callbacks => faults::callbacks(&mut bench).await?,
        Scenario::Memory => memory::all(&mut bench).await?,
        Scenario::Sweep(order) => sweep::run(&mut bench, &order).await?,
        Scenario::SweepSteps => sweep::steps(&mut bench).await?,
        Scenario::SweepWait {
            scenario,
            step,
            deed,
        } => return sweep::wait(&mut bench, &scenario, step, deed).await,
        Scenario::Empty | Scenario::Wrong { .. } => {}
    }
    bench.empty().await
}
