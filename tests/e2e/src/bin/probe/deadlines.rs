//! Deadlines: who waits longer than it may is given up, never early, and what is inside ksecdd stays
//! there.
//!
//! Time is the framework's: it is let pass, so nothing here waits for it. That something has *not*
//! happened is seen by something else that had to happen first.

use crate::{
    bench::{Bench, answered, pends, refused, within},
    raw::{self, Request},
    tls,
};
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tlsgate::{
    NewSession, Start,
    device::Operation,
    protocol::{
        CredentialId, Ioctl, NtStatus,
        payload::{StatisticsReply, VersionReply, state},
    },
};
use tlsgate_lab_control::ksecdd::Completion;

/// What the test has set: two calls inside ksecdd at a time, the usual time-out, the longest. In
/// milliseconds.
const INSIDE: usize = 2;
const USUAL: u32 = 100_000;
const LONGEST: u32 = 200_000;

/// Between two deadlines: far more than the test itself takes.
const STEP: u32 = 50_000;

/// Everything that has a deadline.
pub async fn all(bench: &mut Bench) -> Result<()> {
    let version = bench.reply(&raw::query(Ioctl::QueryVersion)).await?;
    let version: VersionReply = raw::structure(&version)?;
    ensure!(
        version.default_timeout_ms == USUAL && version.longest_timeout_ms == LONGEST,
        "{version:?}"
    );
    let credential = bench.credential().await?;
    inside_and_waiting(bench, credential).await?;
    other_requests(bench).await?;
    later_leg(bench, credential).await?;
    after_the_time(bench, credential).await?;
    slept(bench, credential).await?;
    within(bench.driver.release(credential)).await??;
    Ok(())
}

/// One leg of the usual time-out, one that asks for more than it gets, and one that waits.
async fn inside_and_waiting(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let leg = raw::accept_new(credential, &tls::hello()?);
    bench.lab.complete(Completion::Held)?;
    let before = bench.statistics().await?;
    let mut usual = bench.issue(&leg);
    let mut longest = bench.issue(&raw::within(leg.clone(), u32::MAX));
    bench.held(INSIDE).await?;
    let waiting = bench.issue(&raw::within(leg, USUAL - STEP));
    bench
        .settle("a leg that waits", |now| now.waiting_live == 1)
        .await?;

    // When this one is given up, the watch has looked at the others, too.
    bench.lab.advance(u64::from(USUAL - STEP))?;
    given_up(waiting, "a leg that waits").await?;
    counted(bench, &before, 1, 0).await?;
    ensure!(pends(&mut usual).await, "the usual leg was given up early");
    bench.lab.advance(u64::from(STEP))?;
    given_up(usual, "a leg inside").await?;
    counted(bench, &before, 2, 1).await?;
    ensure!(
        pends(&mut longest).await,
        "the longest leg was given up early"
    );
    bench.lab.advance(u64::from(LONGEST - USUAL))?;
    given_up(longest, "a leg that asked for more").await?;
    counted(bench, &before, 3, 2).await?;
    ensure!(
        bench.lab.state()?.held == INSIDE,
        "ksecdd has lost a call, or got one that nobody waits for"
    );
    let_go(bench, INSIDE).await?;
    bench
        .settle("the sessions that nobody heard of", |now| {
            now.orphans_live == 0 && now.waiting_live == 0 && now.sessions_live == 0
        })
        .await
}

/// ACQUIRE_CREDENTIAL asks for its own time; CLOSE_SESSION and RELEASE_CREDENTIAL have the longest.
async fn other_requests(bench: &mut Bench) -> Result<()> {
    let before = bench.statistics().await?;
    let acquire = raw::within(raw::acquire(bench.thumbprint, ""), STEP);
    timed_out(bench, &acquire, STEP, 1).await?;
    let_go(bench, 1).await?;
    bench
        .settle("the credential that nobody heard of", |now| {
            now.orphans_live == 0 && now.credentials_live == before.credentials_live
        })
        .await?;

    let credential = bench.credential().await?;
    let (session, _peer) = tls::establish(&bench.driver, credential).await?;
    let close = raw::session(Ioctl::CloseSession, session);
    timed_out(bench, &close, LONGEST, 0).await?;
    refused(bench.issue(&close), NtStatus::STATUS_NOT_FOUND, "it closes").await?;
    let_go(bench, 1).await?;
    bench
        .settle("the session", |now| now.sessions_live == 0)
        .await?;
    let release = raw::release(credential);
    timed_out(bench, &release, LONGEST, 0).await?;
    refused(
        bench.issue(&release),
        NtStatus::STATUS_NOT_FOUND,
        "it is released",
    )
    .await?;
    let_go(bench, 1).await?;
    bench
        .settle("the credential", |now| {
            now.credentials_live == before.credentials_live
        })
        .await
}

/// A held request, given up after so many milliseconds; it leaves so many orphans.
async fn timed_out(bench: &mut Bench, request: &Request, time: u32, orphans: u64) -> Result<()> {
    bench.lab.complete(Completion::Held)?;
    let before = bench.statistics().await?;
    let operation = bench.issue(request);
    bench.held(1).await?;
    bench.lab.advance(u64::from(time))?;
    given_up(operation, request.ioctl).await?;
    counted(bench, &before, 1, orphans).await?;
    ensure!(bench.lab.state()?.held == 1, "ksecdd has lost a call");
    Ok(())
}

/// The session's time is one for all of its legs.
async fn later_leg(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let mut peer = tls::Peer::new()?;
    let start = Start::New(NewSession {
        timeout: Some(Duration::from_millis(u64::from(USUAL))),
        ..NewSession::of(credential)
    });
    let leg = within(bench.driver.accept(start, &peer.take()?)).await??;
    peer.give(&leg.token)?;
    let session = leg.session.context("no session")?;
    bench.lab.advance(u64::from(STEP))?;
    bench.lab.complete(Completion::Held)?;
    let next = raw::accept_next(session, &peer.take()?);
    let operation = bench.issue(&next);
    bench.held(1).await?;
    bench.lab.advance(u64::from(USUAL - STEP))?;
    given_up(operation, "a later leg").await?;
    let busy = NtStatus::STATUS_DEVICE_BUSY;
    refused(bench.issue(&next), busy, "a leg beside an orphan").await?;
    let_go(bench, 1).await?;
    bench
        .settle("the orphan", |now| now.orphans_live == 0)
        .await?;
    failed(bench, &next).await?;
    within(bench.driver.close(session)).await??;
    Ok(())
}

/// Between two legs nobody watches; the next leg finds that it is too late. What is established has
/// time.
async fn after_the_time(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let (established, mut other) = tls::establish(&bench.driver, credential).await?;
    let (session, mut peer) = tls::begin(&bench.driver, credential).await?;
    let before = bench.quiet(0).await?;
    bench.lab.advance(u64::from(USUAL))?;
    let next = raw::accept_next(session, &peer.take()?);
    refused(
        bench.issue(&next),
        NtStatus::STATUS_IO_TIMEOUT,
        "a leg after the session's time",
    )
    .await?;
    let now = bench.statistics().await?;
    ensure!(
        now.timed_out == before.timed_out + 1
            && now.timed_out_inside == before.timed_out_inside
            && now.sessions_failed == before.sessions_failed + 1
            && now.calls == before.calls,
        "{now:#?}"
    );
    failed(bench, &next).await?;
    tls::talk(&bench.driver, established, &mut other).await?;
    for session in [session, established] {
        within(bench.driver.close(session)).await??;
    }
    Ok(())
}

/// Nothing expires because the machine slept.
async fn slept(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let leg = raw::accept_new(credential, &tls::hello()?);
    bench.lab.complete(Completion::Held)?;
    let mut sleeper = bench.issue(&leg);
    bench.held(1).await?;
    bench.lab.sleep(10 * u64::from(LONGEST))?;
    // The watch has looked since then when this one is given up.
    let mark = bench.issue(&raw::within(leg, STEP));
    bench.held(2).await?;
    bench.lab.advance(u64::from(STEP))?;
    given_up(mark, "a leg begun after the sleep").await?;
    ensure!(pends(&mut sleeper).await, "a leg expired in its sleep");
    let_go(bench, 2).await?;
    let reply = answered(sleeper, "a leg that slept").await?;
    let session = tls::session(&reply)?;
    let reply = raw::leg(&reply)?;
    ensure!(reply.state == state::HANDSHAKING, "{reply:?}");
    within(bench.driver.close(session)).await??;
    bench
        .settle("the sessions", |now| now.sessions_live == 0)
        .await
}

async fn given_up(operation: Operation, what: impl std::fmt::Debug) -> Result<()> {
    refused(operation, NtStatus::STATUS_IO_TIMEOUT, what).await
}

/// So many requests have run out of time since then, and so many left an orphan.
async fn counted(
    bench: &Bench,
    before: &StatisticsReply,
    timed_out: u64,
    inside: u64,
) -> Result<()> {
    // The answer comes a moment before the counters.
    let what = format!("{timed_out} time-outs, {inside} of them inside");
    bench
        .settle(&what, |now| {
            now.timed_out == before.timed_out + timed_out
                && now.timed_out_inside == before.timed_out_inside + inside
                && now.cancelled == before.cancelled
                && now.orphans_live == inside
        })
        .await
}

async fn failed(bench: &Bench, leg: &Request) -> Result<()> {
    let status = NtStatus::STATUS_INVALID_DEVICE_STATE;
    refused(bench.issue(leg), status, "a leg of a failed session").await
}

async fn let_go(bench: &mut Bench, held: usize) -> Result<()> {
    bench.lab.complete(Completion::Late)?;
    let released = bench.lab.release()?;
    ensure!(released == held, "{released} calls were held");
    bench.held(0).await
}
