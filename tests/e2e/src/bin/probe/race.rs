//! Cancellation against completion: whoever wins, each request answers once and nothing is left.

use crate::{
    bench::{Bench, within},
    raw, tls,
};
use anyhow::{Result, ensure};
use std::{collections::VecDeque, hint, sync::mpsc, thread};
use tlsgate_client::{
    device::{Canceller, Operation},
    protocol::{CredentialId, Ioctl, NtStatus, SessionId},
};
use tlsgate_lab_control::ksecdd::Completion;

/// Legs for each way of completion.
const LEGS: usize = 1000;

/// Legs on their way at a time.
const AT_ONCE: usize = 12;

/// How each race ended.
#[derive(Debug, Default)]
struct Score {
    completed: usize,
    cancelled: usize,
}

/// With every way of completion.
pub async fn all(bench: &mut Bench) -> Result<()> {
    for completion in [Completion::Inline, Completion::Early, Completion::Late] {
        bench.lab.complete(completion)?;
        let credential = bench.credential().await?;
        let score = legs(bench, credential).await?;
        println!("{completion:?}: {score:?}");
        // Both must have won now and then, or it was no race.
        ensure!(
            score.completed > LEGS / 50 && score.cancelled > LEGS / 50,
            "{score:?}"
        );
        bench
            .settle("sessions", |now| {
                now.sessions_live == 0 && now.orphans_live == 0
            })
            .await?;
        within(bench.driver.release(credential)).await??;
    }
    bench.lab.complete(Completion::Late)
}

async fn legs(bench: &Bench, credential: CredentialId) -> Result<Score> {
    let hello = tls::hello()?;
    let leg = raw::accept_new(credential, &hello);
    let (cancel, cancellers) = mpsc::channel::<(usize, Canceller)>();
    // A thread of its own, which races with the completions.
    let canceller = thread::spawn(move || {
        for (number, canceller) in cancellers {
            for _ in 0..number % 16 * 20_000 {
                hint::spin_loop();
            }
            canceller.cancel();
        }
    });
    let mut score = Score::default();
    let (mut legs, mut closings) = (VecDeque::new(), VecDeque::new());
    for number in 0..LEGS {
        let operation = bench.issue(&leg);
        cancel.send((number, operation.canceller()))?;
        legs.push_back(operation);
        if legs.len() == AT_ONCE
            && let Some(oldest) = legs.pop_front()
            && let Some(session) = leg_ended(oldest, &mut score).await?
        {
            let closing = bench.issue(&raw::session(Ioctl::CloseSession, session));
            cancel.send((number, closing.canceller()))?;
            closings.push_back(closing);
        }
    }
    drop(cancel);
    for leg in legs {
        if let Some(session) = leg_ended(leg, &mut score).await? {
            within(bench.driver.close(session)).await??;
        }
    }
    for closing in closings {
        let answer = within(closing).await?;
        ensure!(
            answer.is_ok() || answer == Err(NtStatus::STATUS_CANCELLED),
            "CLOSE_SESSION: {answer:?}"
        );
    }
    ensure!(canceller.join().is_ok(), "the cancelling thread failed");
    Ok(score)
}

/// The session, if the leg was completed.
async fn leg_ended(operation: Operation, score: &mut Score) -> Result<Option<SessionId>> {
    match within(operation).await? {
        Ok(reply) => {
            score.completed += 1;
            let leg = raw::leg(&reply)?;
            ensure!(leg.produced > 0, "a leg without a token: {leg:?}");
            Ok(SessionId::from_wire(leg.session))
        }
        Err(NtStatus::STATUS_CANCELLED) => {
            score.cancelled += 1;
            Ok(None)
        }
        Err(status) => anyhow::bail!("a leg: {}", crate::bench::name(status)),
    }
}
