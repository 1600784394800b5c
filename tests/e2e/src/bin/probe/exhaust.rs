//! A program that takes all that one handle can have, of one thing at a time, and keeps it.
//!
//! The numbers are those of the settings that the test makes.

use crate::{
    bench::{Bench, refused, within},
    raw::{self, Request},
    tls,
};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::{io, time::Instant};
use tlsgate::{
    device::Operation,
    protocol::{CredentialId, NtStatus, SecurityStatus, SessionId, limits},
};
use tlsgate_lab_control::ksecdd::{Completion, Effect, Function};

/// `SessionsPerHandle`, `CredentialsPerHandle`, `PendingRequestsPerHandle`, `OperationsPerHandle`,
/// `OrphansPerHandle`, `InputMiBPerHandle` in whole inputs, `QuarantinedPerHandle`, `FailuresBurst`.
const SESSIONS: usize = 32;
const CREDENTIALS: usize = 8;
const PENDING: usize = 20;
const OPERATIONS: usize = 48;
const ORPHANS: usize = 4;
const INPUTS: usize = 16;
const QUARANTINED: usize = 4;
const FAILURES: u64 = 6;

/// Half of a session's life, more of them than there is room for in quarantine.
const REFUSED: usize = 12;

const QUOTA: NtStatus = NtStatus::STATUS_QUOTA_EXCEEDED;

/// What it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Thing {
    /// Sessions.
    Sessions,
    /// Credentials.
    Credentials,
    /// Requests that pend: inside ksecdd as many as may be, the others waiting.
    Pending,
    /// Operations.
    Operations,
    /// Operations inside ksecdd whose request was given up.
    Orphans,
    /// Waiting input.
    Input,
    /// Async contexts in quarantine, by acquisitions and by legs that ksecdd refuses.
    Quarantine,
    /// Failed handshakes.
    Failures,
    /// Handshakes that it begins and closes.
    HalfWay,
}

/// Takes it, says `exhausted`, and keeps it until its input ends or it is killed.
pub async fn take(bench: &mut Bench, thing: Thing) -> Result<()> {
    let credential = bench.credential().await?;
    let kept = match thing {
        Thing::Sessions => sessions(bench, credential).await?,
        Thing::Credentials => credentials(bench).await?,
        Thing::Pending => pending(bench, &leg(credential)?, PENDING).await?,
        Thing::Operations => operations(bench, credential).await?,
        Thing::Orphans => orphans(bench, credential).await?,
        Thing::Input => input(bench, credential).await?,
        Thing::Quarantine => quarantine(bench, credential).await?,
        Thing::Failures => failures(bench, credential).await?,
        Thing::HalfWay => half_way(bench, credential).await?,
    };
    println!("exhausted");
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    drop(kept);
    std::process::exit(0)
}

/// What must not be dropped.
type Kept = Vec<Operation>;

async fn sessions(bench: &Bench, credential: CredentialId) -> Result<Kept> {
    for _ in 0..SESSIONS {
        bench.reply(&leg(credential)?).await?;
    }
    refused(bench.issue(&leg(credential)?), QUOTA, "a session").await?;
    Ok(Vec::new())
}

async fn credentials(bench: &Bench) -> Result<Kept> {
    for _ in 1..CREDENTIALS {
        bench.credential().await?;
    }
    let acquire = raw::acquire(bench.thumbprint, "");
    refused(bench.issue(&acquire), QUOTA, "a credential").await?;
    Ok(Vec::new())
}

/// So many of the same request pend; one more does not.
async fn pending(bench: &mut Bench, request: &Request, count: usize) -> Result<Kept> {
    bench.lab.complete(Completion::Held)?;
    let mut legs = Vec::new();
    for _ in 0..count {
        legs.push(bench.issue(request));
        there(bench, legs.len()).await?;
    }
    refused(bench.issue(request), QUOTA, "a request").await?;
    bench.lab.complete(Completion::Late)?;
    Ok(legs)
}

/// Sessions have one in reserve each; legs of theirs need more.
async fn operations(bench: &mut Bench, credential: CredentialId) -> Result<Kept> {
    const HALF: usize = 30;
    let mut halves = Vec::new();
    for _ in 0..HALF {
        let (session, mut peer) = tls::begin(&bench.driver, credential).await?;
        halves.push(raw::accept_next(session, &peer.take()?));
    }
    bench.lab.complete(Completion::Held)?;
    let mut legs = Vec::new();
    let mut halves = halves.iter();
    while HALF + 1 + legs.len() < OPERATIONS {
        legs.push(bench.issue(halves.next().context("no session")?));
        there(bench, legs.len()).await?;
    }
    refused(
        bench.issue(halves.next().context("no session")?),
        QUOTA,
        "an operation",
    )
    .await?;
    bench.lab.complete(Completion::Late)?;
    Ok(legs)
}

async fn orphans(bench: &mut Bench, credential: CredentialId) -> Result<Kept> {
    let request = leg(credential)?;
    bench.lab.complete(Completion::Held)?;
    for orphans in 1..=ORPHANS {
        let leg = bench.issue(&request);
        there(bench, orphans).await?;
        bench.held(orphans).await?;
        leg.canceller().cancel();
        refused(leg, NtStatus::STATUS_CANCELLED, "a held leg").await?;
    }
    refused(bench.issue(&request), QUOTA, "a leg beside orphans").await?;
    bench.lab.complete(Completion::Late)?;
    Ok(Vec::new())
}

async fn input(bench: &mut Bench, credential: CredentialId) -> Result<Kept> {
    let mut bytes = tls::hello()?;
    bytes.resize(limits::MAX_INPUT, 0);
    pending(bench, &raw::accept_new(credential, &bytes), INPUTS).await
}

/// What has begun is not bound by the limit, and yet takes nothing from others.
async fn quarantine(bench: &mut Bench, credential: CredentialId) -> Result<Kept> {
    let refusal = Effect::Refused(SecurityStatus::SEC_E_INTERNAL_ERROR.0);
    let mut halves = Vec::new();
    for _ in 0..REFUSED {
        let (session, mut peer) = tls::begin(&bench.driver, credential).await?;
        halves.push(raw::accept_next(session, &peer.take()?));
    }
    let acquire = raw::acquire(bench.thumbprint, "");
    bench.lab.fault(
        Function::SspiAcquireCredentialsHandleAsyncW,
        &[refusal; QUARANTINED],
    )?;
    for _ in 0..QUARANTINED {
        bench.reply(&acquire).await?;
    }
    refused(bench.issue(&acquire), QUOTA, "a credential").await?;
    refused(bench.issue(&leg(credential)?), QUOTA, "a session").await?;
    bench.lab.fault(
        Function::SspiAcceptSecurityContextAsync,
        &[refusal; REFUSED],
    )?;
    for half in &halves {
        let reply = bench.reply(half).await?;
        ensure!(raw::leg(&reply)?.head.status < 0, "a leg was not refused");
    }
    let kept = bench.statistics().await?.quarantined_live;
    ensure!(
        kept == u64::try_from(QUARANTINED + REFUSED)?,
        "{kept} async contexts are kept"
    );
    Ok(Vec::new())
}

async fn failures(bench: &Bench, credential: CredentialId) -> Result<Kept> {
    let garbage = raw::accept_new(credential, &[0x55; 64]);
    until_too_many(bench, async |_| bench.issue(&garbage).await.map(drop)).await
}

async fn half_way(bench: &Bench, credential: CredentialId) -> Result<Kept> {
    let request = leg(credential)?;
    until_too_many(bench, async |bench| {
        let session = tls::session(&bench.issue(&request).await?).ok();
        if let Some(session) = session {
            close(bench, session).await?;
        }
        Ok(())
    })
    .await
}

async fn close(bench: &Bench, session: SessionId) -> Result<(), NtStatus> {
    let request = raw::session(tlsgate::protocol::Ioctl::CloseSession, session);
    bench.issue(&request).await.map(drop)
}

/// Handshakes that do not succeed, until one is not begun any more: after so many at once, and one a
/// second.
async fn until_too_many(
    bench: &Bench,
    one: impl AsyncFn(&Bench) -> Result<(), NtStatus>,
) -> Result<Kept> {
    let started = Instant::now();
    let mut failed = 0;
    loop {
        match within(one(bench)).await? {
            Ok(()) => failed += 1,
            Err(NtStatus::STATUS_RETRY) => break,
            Err(other) => anyhow::bail!("a handshake: {other:?}"),
        }
        let most = FAILURES + started.elapsed().as_secs() + 1;
        ensure!(failed <= most, "{failed} failures, {most} were due");
    }
    ensure!(failed >= FAILURES, "refused after {failed} failures");
    Ok(Vec::new())
}

/// Waits until so many operations of this handle wait or are inside: its neighbour does nothing now.
async fn there(bench: &Bench, count: usize) -> Result<()> {
    let count = u64::try_from(count)?;
    bench
        .settle("what is held", |now| {
            now.in_flight_live + now.waiting_live == count
        })
        .await
}

fn leg(credential: CredentialId) -> Result<Request> {
    Ok(raw::accept_new(credential, &tls::hello()?))
}
