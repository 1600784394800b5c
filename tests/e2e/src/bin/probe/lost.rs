//! Callbacks that do not come: a call whose callback is lost, one that owes none, and one that was
//! refused and may yet call back.

use crate::{
    bench::{Bench, refused, within},
    events,
    raw::{self, Request},
    tls,
};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::{
    process,
    time::{Duration, Instant},
};
use tlsgate::protocol::{Ioctl, NtStatus, SecurityStatus};
use tlsgate_lab_control::{
    kmdf::Value,
    ksecdd::{Effect, Function},
};

/// What the test has set: how long a final status may go without its callback.
const BOUND: Duration = Duration::from_millis(200);

/// The usual time that an async context which may yet call back is kept, in milliseconds.
const QUARANTINE: u64 = 60_000;

/// How much time passes between two looks, in milliseconds.
const STEP: u64 = 9_000;

/// Calls that complete without a callback below: one to acquire, three legs, four ends.
const TAKEN_OVER: u64 = 8;

/// What the calls that go wrong give.
const WRONG: i32 = SecurityStatus::SEC_E_INTERNAL_ERROR.0;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Callback {
    /// Lost, and delivered late.
    Lost,
    /// Lost; the program ends meanwhile.
    Left,
    /// Not owed, says ksecdd.
    NotOwed,
    /// Of a refused call: nobody knows whether it is owed.
    MayCome,
}

/// As the test wants it.
pub async fn all(bench: &mut Bench, callback: Callback) -> Result<()> {
    match callback {
        Callback::Lost => lost(bench).await,
        Callback::Left => left(bench).await,
        Callback::NotOwed => not_owed(bench).await,
        Callback::MayCome => may_come(bench).await,
    }
}

async fn lost(bench: &mut Bench) -> Result<()> {
    bench.lab.listen(true)?;
    bench
        .lab
        .ksecdd(|switches| switches.lost_callbacks_delivered = true)?;
    let (server, client) = (bench.credential().await?, bench.client_credential().await?);
    let hello = tls::hello()?;
    let acquire = Function::SspiAcquireCredentialsHandleAsyncW;
    let accept = Function::SspiAcceptSecurityContextAsync;
    let connect = Function::SspiInitializeSecurityContextAsyncW;
    let before = bench.statistics().await?;
    for (function, request) in [
        (acquire, raw::acquire(bench.thumbprint, "")),
        (accept, raw::accept_new(server, &hello)),
        (connect, raw::connect_new(client)),
    ] {
        given_up(bench, function, &request).await?;
        let now = bench.statistics().await?;
        let made = (now.sessions_live - before.sessions_live)
            + (now.credentials_live - before.credentials_live);
        ensure!(
            made == 1 && now.async_contexts_live == before.async_contexts_live + 1,
            "{function:?} lost its callback, and something was freed: {now:#?}"
        );
        delivered(bench).await?;
        bench
            .settle("what nobody heard of", |now| {
                now.sessions_live == before.sessions_live
                    && now.credentials_live == before.credentials_live
            })
            .await?;
    }
    let (session, mut peer) = tls::begin(&bench.driver, server).await?;
    let later = raw::accept_next(session, &peer.take()?);
    given_up(bench, accept, &later).await?;
    let busy = NtStatus::STATUS_DEVICE_BUSY;
    refused(bench.issue(&later), busy, "a leg beside an orphan").await?;
    delivered(bench).await?;
    let status = NtStatus::STATUS_INVALID_DEVICE_STATE;
    refused(bench.issue(&later), status, "a leg of a failed session").await?;
    within(bench.driver.close(session)).await??;
    for credential in [server, client] {
        within(bench.driver.release(credential)).await??;
    }
    bench.lab.listen(false)
}

/// The request is completed, and nothing else.
async fn given_up(bench: &mut Bench, function: Function, request: &Request) -> Result<()> {
    let last = events::last(&mut bench.lab)?;
    let before = bench.statistics().await?;
    bench.lab.fault(function, &[Effect::CallbackLost(WRONG)])?;
    let started = Instant::now();
    let status = NtStatus::STATUS_INTERNAL_ERROR;
    refused(bench.issue(request), status, function).await?;
    let after = started.elapsed();
    ensure!(after >= BOUND, "{function:?} was given up after {after:?}");
    let now = bench.statistics().await?;
    ensure!(
        now.callbacks_lost == before.callbacks_lost + 1
            && now.orphans_live == before.orphans_live + 1
            && now.timed_out == before.timed_out,
        "{function:?}: {now:#?}"
    );
    let state = bench.lab.state()?;
    ensure!(state.callbacks_owed == 1, "{state:#?}");
    let written = bench.lab.events(last)?;
    let event = events::only(&written, "CallbackLost")?;
    ensure!(event.level == 2, "{event:?}");
    let has_session = event.fields["session"] != Value::Unsigned(0);
    ensure!(
        has_session == (request.ioctl != Ioctl::AcquireCredential),
        "{event:?}"
    );
    let orphaned = events::only(&written, "Orphaned")?;
    ensure!(
        orphaned.fields["reason"] == Value::Text("callback lost".into())
            && orphaned.fields["session"] == event.fields["session"],
        "{orphaned:?}"
    );
    Ok(())
}

/// The callback comes after all.
async fn delivered(bench: &mut Bench) -> Result<()> {
    let before = bench.statistics().await?;
    let released = bench.lab.release()?;
    ensure!(released == 1, "{released} callbacks were owed");
    bench
        .settle("the orphan", |now| now.orphans_live == 0)
        .await?;
    let now = bench.statistics().await?;
    ensure!(
        now.callbacks_lost == before.callbacks_lost && now.stray_callbacks == 0,
        "{now:#?}"
    );
    Ok(())
}

/// The driver cannot go before the callback has come.
async fn left(bench: &mut Bench) -> Result<()> {
    bench
        .lab
        .ksecdd(|switches| switches.lost_callbacks_delivered = true)?;
    let credential = bench.credential().await?;
    let leg = raw::accept_new(credential, &tls::hello()?);
    bench.lab.fault(
        Function::SspiAcceptSecurityContextAsync,
        &[Effect::CallbackLost(WRONG)],
    )?;
    let status = NtStatus::STATUS_INTERNAL_ERROR;
    refused(bench.issue(&leg), status, "a leg").await?;
    process::exit(0);
}

/// Where ksecdd says that it owes no callback, the driver goes on when it sees the final status; and a
/// refused call's async context goes at once.
async fn not_owed(bench: &mut Bench) -> Result<()> {
    let before = bench.statistics().await?;
    let arm = |bench: &mut Bench, function| bench.lab.fault(function, &[Effect::Unannounced]);
    arm(bench, Function::SspiAcquireCredentialsHandleAsyncW)?;
    let server = bench.credential().await?;
    let client = bench.client_credential().await?;
    arm(bench, Function::SspiAcceptSecurityContextAsync)?;
    let (session, mut peer) = tls::begin(&bench.driver, server).await?;
    arm(bench, Function::SspiAcceptSecurityContextAsync)?;
    tls::finish(&bench.driver, session, &mut peer).await?;
    tls::talk(&bench.driver, session, &mut peer).await?;
    arm(bench, Function::SspiInitializeSecurityContextAsyncW)?;
    let hello = bench.reply(&raw::connect_new(client)).await?;
    let connecting = tls::session(&hello)?;
    for session in [session, connecting] {
        arm(bench, Function::SspiDeleteSecurityContextAsync)?;
        within(bench.driver.close(session)).await??;
    }
    for credential in [server, client] {
        arm(bench, Function::SspiFreeCredentialsHandleAsync)?;
        within(bench.driver.release(credential)).await??;
    }
    let now = bench.statistics().await?;
    ensure!(
        now.callbacks_lost == before.callbacks_lost + TAKEN_OVER
            && now.quarantined_live == before.quarantined_live + TAKEN_OVER
            && now.orphans_live == 0,
        "{now:#?}"
    );
    bench.empty().await?;
    kept_for_a_while(bench, TAKEN_OVER).await?;
    may_come(bench).await
}

/// Of a refused call the context is kept for a while, and then let go, whatever ksecdd says.
async fn may_come(bench: &mut Bench) -> Result<()> {
    let kept = refusals(bench).await?;
    ensure!(kept == 3, "{kept} async contexts are in quarantine");
    kept_for_a_while(bench, kept).await
}

/// ksecdd may say that it owes no callback as soon as it begins to call.
async fn kept_for_a_while(bench: &mut Bench, kept: u64) -> Result<()> {
    // A generation has just begun, as the driver looked a moment ago: this one is let go at the end of the
    // next, after nearly twice the time.
    let mut passed = 0;
    while bench.statistics().await?.quarantined_live == kept {
        ensure!(passed <= 2 * QUARANTINE, "kept for {passed} ms");
        bench.lab.advance(STEP)?;
        looked(bench).await?;
        passed += STEP;
    }
    let least = 2 * QUARANTINE - 3 * STEP;
    ensure!(passed >= least, "let go after {passed} ms");
    bench
        .settle("the quarantine", |now| now.quarantined_live == 0)
        .await?;
    bench
        .settle_ksecdd("the quarantine in ksecdd", |left| left.async_contexts == 0)
        .await
}

/// Whatever begins looks first for what may go.
async fn looked(bench: &Bench) -> Result<()> {
    let credential = bench.credential().await?;
    within(bench.driver.release(credential)).await??;
    Ok(())
}

/// Three refused calls. Gives how many async contexts are in quarantine because of them.
async fn refusals(bench: &mut Bench) -> Result<u64> {
    let credential = bench.credential().await?;
    let before = bench.statistics().await?;
    let refused = [Effect::Refused(WRONG)];
    bench
        .lab
        .fault(Function::SspiAcquireCredentialsHandleAsyncW, &refused)?;
    let acquire = within(bench.issue(&raw::acquire(bench.thumbprint, ""))).await?;
    ensure!(acquire.is_ok(), "{acquire:?}");
    let accept = Function::SspiAcceptSecurityContextAsync;
    bench.lab.fault(accept, &refused)?;
    let leg = bench
        .reply(&raw::accept_new(credential, &tls::hello()?))
        .await?;
    within(bench.driver.close(tls::session(&leg)?)).await??;
    let (session, mut peer) = tls::begin(&bench.driver, credential).await?;
    bench.lab.fault(accept, &refused)?;
    let leg = raw::accept_next(session, &peer.take()?);
    bench.reply(&leg).await?;
    within(bench.driver.close(session)).await??;
    within(bench.driver.release(credential)).await??;
    bench.empty().await.context("after refused calls")?;
    let now = bench.statistics().await?;
    ensure!(now.calls_refused == before.calls_refused + 3, "{now:#?}");
    Ok(now.quarantined_live)
}
