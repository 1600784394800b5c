//! The whole driver under random requests of several handles at once: no STOP, no request that does not end,
//! no reply that is not well formed, no id that works where it should not, and in the end nothing is left and
//! a handshake works.
//!
//! A round begins with a few new handles and ends with none. What is decided in round `n` of a seed is drawn
//! from both numbers alone; what it comes to depends on which requests have been answered meanwhile, and so
//! on how the machine's threads happen to run.

mod answers;
mod handle;
mod machine;
mod meaning;
mod requests;
mod sent;
mod world;

pub use sent::Sent;

use crate::{
    bench::{Bench, within},
    tls,
};
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tlsgate::protocol::Ioctl;
use world::World;

/// Most sessions and credentials of a handle, and requests that pend: the test sets them.
pub const SESSIONS: usize = 8;
pub const CREDENTIALS: usize = 6;
/// The same for all handles together.
pub const ALL_SESSIONS: u64 = 20;
pub const ALL_CREDENTIALS: u64 = 15;

/// Rounds between two looks at whether everything is there again.
const BETWEEN_LOOKS: u64 = 4;

/// What was tried, as the last line that is printed.
#[derive(Debug, Default, Serialize)]
pub struct Tally {
    seed: u64,
    rounds: u64,
    /// Requests that were answered, or whose handle was closed.
    requests: u64,
    /// Of these: by name, or `unknown`.
    ioctls: BTreeMap<&'static str, u64>,
    /// Answers by NTSTATUS.
    answers: BTreeMap<String, u64>,
    /// Of these: such as other tests have sent.
    sent_again: u64,
    cancelled: u64,
    handles_closed: u64,
    /// Later legs after which a session is established.
    established: u64,
    /// The longest that a request took which had not to wait for ksecdd, in milliseconds.
    longest_ms: u128,
}

/// What the command line says.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub seed: u64,
    pub duration: Duration,
    /// Only this round.
    pub round: Option<u64>,
}

/// Rounds until the time is over.
pub async fn all(bench: &mut Bench, options: Options, sent: &[Sent]) -> Result<()> {
    let start = Instant::now();
    let mut tally = Tally {
        seed: options.seed,
        ..Tally::default()
    };
    for number in options.round.unwrap_or(0).. {
        let is_over = match options.round {
            Some(only) => number > only,
            None => start.elapsed() >= options.duration,
        };
        if is_over {
            break;
        }
        round(bench, options.seed, number, sent, &mut tally)
            .await
            .with_context(|| format!("round {number} of seed {}", options.seed))?;
    }
    bench.lab.advance(machine::QUARANTINE_MS)?;
    bench.lab.advance(machine::QUARANTINE_MS)?;
    bench.whole_handshake().await?;
    // Random bytes that mean nothing would prove little.
    let has = |ioctl: Ioctl| tally.ioctls.contains_key(ioctl.name());
    ensure!(
        options.round.is_some() || Ioctl::ALL.iter().all(|ioctl| has(*ioctl)),
        "not every IOCTL was tried: {tally:?}"
    );
    println!("{}", serde_json::to_string(&tally)?);
    Ok(())
}

async fn round(
    bench: &mut Bench,
    seed: u64,
    number: u64,
    sent: &[Sent],
    tally: &mut Tally,
) -> Result<()> {
    let random = Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number);
    let mut world = World::begin(bench, random, sent, tally).await?;
    let played = world.play().await;
    let trace = world.end();
    let ended = match played {
        Ok(()) => ended(bench, number).await,
        error => error,
    };
    if let Err(error) = ended {
        let trace = trace.join("\n");
        return Err(error.context(format!("after these steps:\n{trace}")));
    }
    tally.rounds += 1;
    Ok(())
}

/// Nothing is left of a round, and now and then a handshake shows that everything is there again.
async fn ended(bench: &mut Bench, number: u64) -> Result<()> {
    machine::usual(bench)?;
    machine::let_go(bench).await?;
    bench.empty().await?;
    if !number.is_multiple_of(BETWEEN_LOOKS) {
        return Ok(());
    }
    // What is in quarantine goes.
    bench.lab.advance(machine::QUARANTINE_MS)?;
    bench.lab.advance(machine::QUARANTINE_MS)?;
    let credential = bench.credential().await?;
    let (session, mut peer) = tls::establish(&bench.driver, credential).await?;
    tls::talk(&bench.driver, session, &mut peer).await?;
    within(bench.driver.close(session)).await??;
    within(bench.driver.release(credential)).await??;
    Ok(())
}
