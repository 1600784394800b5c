//! Cancellation against completion: whoever wins, each request answers once and nothing is left.

use crate::{
    bench::{Bench, name, within},
    raw, tls,
};
use anyhow::{Result, bail, ensure};
use std::{
    collections::VecDeque,
    hint,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
};
use tlsgate::{
    device::{Canceller, Operation},
    protocol::{CredentialId, Ioctl, NtStatus, SessionId},
};
use tlsgate_lab_control::ksecdd::Completion;

/// Legs for each way of completion.
const LEGS: usize = 1000;

/// Legs on their way at a time.
const AT_ONCE: usize = 12;

/// Turns of a loop; longer than a slow security subsystem takes.
const LONGEST_DELAY: u32 = 4_000_000;

/// How each race ended.
#[derive(Debug, Default)]
struct Score {
    completed: usize,
    cancelled: usize,
    /// Turns of a loop before a leg is cancelled: more after one that was cancelled, fewer after one
    /// that was completed, so that both stay about as likely whatever the machine's speed.
    delay: Arc<AtomicU32>,
}

impl Score {
    fn completed(&mut self) {
        self.completed += 1;
        let delay = self.delay.load(Ordering::Relaxed);
        self.delay.store(delay - delay / 8, Ordering::Relaxed);
    }

    fn cancelled(&mut self) {
        self.cancelled += 1;
        let delay = self.delay.load(Ordering::Relaxed);
        let longer = (delay + delay / 8 + 50).min(LONGEST_DELAY);
        self.delay.store(longer, Ordering::Relaxed);
    }
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
    let (cancel, cancellers) = mpsc::channel::<Canceller>();
    let delay = Arc::new(AtomicU32::new(0));
    // A thread of its own, which races with the completions.
    let canceller = thread::spawn({
        let delay = Arc::clone(&delay);
        move || {
            for canceller in cancellers {
                for _ in 0..delay.load(Ordering::Relaxed) {
                    hint::spin_loop();
                }
                canceller.cancel();
            }
        }
    });
    let mut score = Score {
        delay,
        ..Score::default()
    };
    let (mut legs, mut closings) = (VecDeque::new(), Vec::new());
    for _ in 0..LEGS {
        let operation = bench.issue(&leg);
        cancel.send(operation.canceller())?;
        legs.push_back(operation);
        if legs.len() == AT_ONCE
            && let Some(oldest) = legs.pop_front()
            && let Some(session) = leg_ended(oldest, &mut score).await?
        {
            let closing = bench.issue(&raw::session(Ioctl::CloseSession, session));
            cancel.send(closing.canceller())?;
            closings.push((session, closing));
        }
    }
    drop(cancel);
    for leg in legs {
        if let Some(session) = leg_ended(leg, &mut score).await? {
            within(bench.driver.close(session)).await??;
        }
    }
    for (session, closing) in closings {
        match within(closing).await? {
            Ok(_) => {}
            Err(NtStatus::STATUS_CANCELLED) => close_again(bench, session).await?,
            Err(status) => bail!("CLOSE_SESSION: {}", name(status)),
        }
    }
    ensure!(canceller.join().is_ok(), "the cancelling thread failed");
    Ok(score)
}

/// A cancelled CLOSE_SESSION may have been given up before the driver saw it.
async fn close_again(bench: &Bench, session: SessionId) -> Result<()> {
    let close = raw::session(Ioctl::CloseSession, session);
    match within(bench.issue(&close)).await? {
        Ok(_) | Err(NtStatus::STATUS_NOT_FOUND) => Ok(()),
        Err(status) => bail!("the second CLOSE_SESSION: {}", name(status)),
    }
}

/// The session, if the leg was completed.
async fn leg_ended(operation: Operation, score: &mut Score) -> Result<Option<SessionId>> {
    match within(operation).await? {
        Ok(reply) => {
            score.completed();
            let leg = raw::leg(&reply)?;
            ensure!(leg.produced > 0, "a leg without a token: {leg:?}");
            Ok(SessionId::from_wire(leg.session))
        }
        Err(NtStatus::STATUS_CANCELLED) => {
            score.cancelled();
            Ok(None)
        }
        Err(status) => bail!("a leg: {}", name(status)),
    }
}
