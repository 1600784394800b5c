//! Fairness: who brings thousands of legs delays another handle's one leg by a turn, not by a queue.

use crate::{
    bench::{Bench, answer_so_far, name, send, within},
    raw, tls,
};
use anyhow::{Result, anyhow, ensure};
use tlsgate::{Device, protocol::payload::state};
use tlsgate_lab_control::ksecdd::{Completion, State};

/// What the test has set: calls inside ksecdd at a time, all of which one handle may have.
const INSIDE: usize = 16;

/// Legs of the busy handle.
const LEGS: usize = 2_000;

/// Completions after which the other handle's leg must be over: those of the calls that were inside
/// before, a turn of the busy handle, and its own.
const MOST: usize = INSIDE + 2;

/// Each completion is let happen by itself, so that they can be counted.
pub async fn all(bench: &mut Bench) -> Result<()> {
    let busy = Device::open()?;
    let credential = bench.credential_on(&busy.driver()).await?;
    let many = raw::accept_new(credential, &tls::hello()?);
    let one = raw::accept_new(bench.credential().await?, &tls::hello()?);
    bench.lab.complete(Completion::Held)?;
    let legs: Vec<_> = (0..LEGS).map(|_| send(&busy, &many)).collect();
    waiting(bench, LEGS - INSIDE).await?;
    let mut leg = bench.issue(&one);
    waiting(bench, LEGS - INSIDE + 1).await?;

    let mut completions = 0;
    let reply = loop {
        // The next one is held when this one has let it in.
        bench.held(INSIDE).await?;
        let before = completed(&bench.lab.state()?);
        bench.lab.release_some(Some(1))?;
        completions += 1;
        bench
            .settle_ksecdd("a completion", |now| completed(now) == before + 1)
            .await?;
        bench.held(INSIDE).await?;
        // An answer is on its way a moment longer than the next call.
        if completions >= MOST {
            break within(&mut leg).await?;
        }
        if let Some(answer) = answer_so_far(&mut leg).await {
            break answer;
        }
    };
    let reply = reply.map_err(|status| anyhow!(name(status)))?;
    let reply = raw::leg(&reply)?;
    ensure!(reply.state == state::HANDSHAKING, "{reply:?}");
    println!("the other handle's leg came through after {completions} completions");
    let now = bench.statistics().await?.waiting_live;
    ensure!(
        now >= u64::try_from(LEGS - INSIDE - MOST)?,
        "{now} legs of the busy handle wait: its queue was worked off first"
    );
    for leg in legs {
        leg.detach();
    }
    drop(busy);
    bench.lab.complete(Completion::Late)?;
    bench.lab.release()?;
    *bench = Bench::open(bench.thumbprint)?;
    Ok(())
}

/// Calls that have completed so far.
fn completed(state: &State) -> u64 {
    state.completions.values().sum()
}

async fn waiting(bench: &Bench, legs: usize) -> Result<()> {
    let (legs, inside) = (u64::try_from(legs)?, u64::try_from(INSIDE)?);
    bench
        .settle("the queue", |now| {
            now.waiting_live == legs && now.in_flight_live == inside
        })
        .await
}
