//! Time-outs: what is not done in its time is given up, at most a tick late and never early. The lab's
//! clock is advanced, so that nobody waits for hours.

use crate::{
    bench::{Bench, within},
    tls,
};
use anyhow::{Context, Result, ensure};
use std::{
    fmt::Debug,
    time::{Duration, Instant},
};
use tlsgate_client::{
    Certificate, CredentialOptions, Error, NewSession, Pending, Start,
    protocol::{CredentialId, NtStatus},
};
use tlsgate_lab_control::ksecdd::Completion;

/// What every request here asks for, unless it asks for nothing.
const TIME_OUT: Duration = Duration::from_secs(100);

/// How far from a deadline the clock is set before it: more than a test can take on a busy host.
const MARGIN: Duration = Duration::from_secs(10);

/// The driver looks at its deadlines so often; nothing is later than that.
const TICK: Duration = Duration::from_millis(128);

/// How long after the clock has been set the driver may take, on a busy host.
const SOON: Duration = Duration::from_secs(3);

/// Each kind of request, each kind of time-out.
pub async fn all(bench: &mut Bench) -> Result<()> {
    let version = within(bench.driver.version()).await??;
    let standard = Duration::from_millis(version.default_timeout_ms.into());
    let longest = Duration::from_millis(version.longest_timeout_ms.into());
    ensure!(
        standard > MARGIN && longest > TIME_OUT,
        "default {standard:?}, longest {longest:?}"
    );
    let credential = bench.credential().await?;
    let client = within(
        bench
            .driver
            .acquire(&CredentialOptions::client().manual_check()),
    )
    .await??;
    for (asked, due) in [
        (Some(TIME_OUT), TIME_OUT),
        (None, standard),
        (Some(longest * 2), longest),
    ] {
        acquisition(bench, asked, due).await?;
        first_leg(bench, credential, asked, due).await?;
        client_s_first_leg(bench, client, asked, due).await?;
    }
    silent_peer(bench, credential).await?;
    in_time(bench, credential).await?;
    for credential in [credential, client] {
        within(bench.driver.release(credential)).await??;
    }
    Ok(())
}

async fn acquisition(bench: &mut Bench, asked: Option<Duration>, due: Duration) -> Result<()> {
    let mut options = CredentialOptions::server(Certificate::machine(bench.thumbprint));
    if let Some(asked) = asked {
        options = options.timeout(asked);
    }
    bench.lab.complete(Completion::Held)?;
    let pending = bench.driver.acquire(&options);
    given_up_in_time(bench, pending, due, "ACQUIRE_CREDENTIAL").await
}

async fn first_leg(
    bench: &mut Bench,
    credential: CredentialId,
    asked: Option<Duration>,
    due: Duration,
) -> Result<()> {
    bench.lab.complete(Completion::Held)?;
    let new = NewSession {
        timeout: asked,
        ..NewSession::of(credential)
    };
    let pending = bench.driver.accept(Start::New(new), &tls::hello()?);
    given_up_in_time(bench, pending, due, "ACCEPT").await
}

async fn client_s_first_leg(
    bench: &mut Bench,
    credential: CredentialId,
    asked: Option<Duration>,
    due: Duration,
) -> Result<()> {
    bench.lab.complete(Completion::Held)?;
    let new = NewSession {
        timeout: asked,
        ..NewSession::of(credential)
    };
    let pending = bench.driver.connect(Start::New(new), b"");
    given_up_in_time(bench, pending, due, "CONNECT").await
}

/// A request that ksecdd holds: it is there until its time, then it is not, and its orphan is.
async fn given_up_in_time<T: Debug>(
    bench: &mut Bench,
    mut pending: Pending<T>,
    due: Duration,
    what: &str,
) -> Result<()> {
    bench.held(1).await?;
    let before = bench.statistics().await?;
    let early = due.saturating_sub(MARGIN);
    bench.lab.advance(milliseconds(early)?)?;
    // A machine that sleeps does nothing: that is no time that a handshake takes.
    bench.lab.sleep(milliseconds(due)?)?;
    let waited = tokio::time::timeout(TICK * 3, &mut pending).await;
    ensure!(waited.is_err(), "{what}, {due:?}: early: {waited:?}");
    bench
        .lab
        .advance(milliseconds(due.saturating_sub(early) + TICK)?)?;
    let since = Instant::now();
    let answer = within(pending).await?;
    ensure!(
        matches!(
            answer,
            Err(Error::Refused {
                status: NtStatus::STATUS_IO_TIMEOUT,
                ..
            })
        ),
        "{what}, {due:?}: {answer:?}"
    );
    ensure!(
        since.elapsed() < SOON,
        "{what}, {due:?}: late by {:?}",
        since.elapsed()
    );
    let now = bench.statistics().await?;
    ensure!(
        now.timed_out == before.timed_out + 1
            && now.timed_out_inside == before.timed_out_inside + 1
            && now.orphans_live == 1,
        "{what}, {due:?}: {now:#?}"
    );
    ensure!(bench.lab.state()?.held == 1, "ksecdd has lost a call");
    bench.lab.complete(Completion::Late)?;
    bench.lab.release()?;
    bench
        .settle(what, |now| now.orphans_live == 0 && now.sessions_live == 0)
        .await
}

/// A peer that says nothing more: the session is of no more use once its time has run out.
async fn silent_peer(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let mut peer = tls::Peer::new()?;
    let new = NewSession {
        timeout: Some(TIME_OUT),
        ..NewSession::of(credential)
    };
    let leg = within(bench.driver.accept(Start::New(new), &peer.take()?)).await??;
    let session = leg.session.context("no session")?;
    peer.give(&leg.token)?;
    let flight = peer.take()?;
    bench.lab.advance(milliseconds(TIME_OUT + TICK)?)?;
    let leg = within(bench.driver.accept(Start::Continue(session), &flight)).await?;
    ensure!(
        refused_with(&leg, NtStatus::STATUS_IO_TIMEOUT),
        "after its time: {leg:?}"
    );
    let leg = within(bench.driver.accept(Start::Continue(session), &flight)).await?;
    ensure!(
        refused_with(&leg, NtStatus::STATUS_INVALID_DEVICE_STATE),
        "on a session that has failed: {leg:?}"
    );
    within(bench.driver.close(session)).await??;
    Ok(())
}

/// A handshake that was done in its time lives for as long as it likes.
async fn in_time(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let (session, mut peer) = tls::establish(&bench.driver, credential).await?;
    bench.lab.advance(milliseconds(TIME_OUT * 10)?)?;
    tls::talk(&bench.driver, session, &mut peer).await?;
    within(bench.driver.close(session)).await??;
    Ok(())
}

fn refused_with<T>(answer: &Result<T, Error>, expected: NtStatus) -> bool {
    matches!(answer, Err(Error::Refused { status, .. }) if *status == expected)
}

fn milliseconds(time: Duration) -> Result<u64> {
    Ok(u64::try_from(time.as_millis())?)
}
