//! Requests are cancelled: the caller is free at once. A call that ksecdd holds is not; what waits for
//! admission makes none.

use crate::{
    bench::{Bench, answered, refused, within},
    raw::{self, Request},
    tls,
};
use anyhow::{Result, ensure};
use tlsgate::protocol::{CredentialId, Ioctl, NtStatus, payload::StatisticsReply};
use tlsgate_lab_control::ksecdd::Completion;

/// Every request that can be inside ksecdd.
pub async fn held(bench: &mut Bench) -> Result<()> {
    acquire(bench).await?;
    let credential = bench.credential().await?;
    first_leg(bench, credential).await?;
    later_leg(bench, credential).await?;
    connect(bench, credential).await?;
    close(bench, credential).await?;
    release(bench, credential).await
}

/// Every request that can wait for admission, while the one call that may be inside ksecdd is held.
pub async fn waiting(bench: &mut Bench) -> Result<()> {
    let (server, client) = (bench.credential().await?, bench.client_credential().await?);
    let unused = bench.credential().await?;
    let (closing, _peer) = tls::establish(&bench.driver, server).await?;
    let leg = raw::accept_new(server, &tls::hello()?);
    bench.lab.complete(Completion::Held)?;
    let inside = bench.issue(&leg);
    bench.held(1).await?;
    let before = bench.statistics().await?;
    let requests = [
        raw::acquire(bench.thumbprint, ""),
        leg,
        raw::connect_new(client),
        raw::session(Ioctl::CloseSession, closing),
        raw::release(unused),
    ];
    for (request, waiting) in requests.iter().zip(1..) {
        let operation = bench.issue(request);
        bench
            .settle("a request that waits", |now| now.waiting_live == waiting)
            .await?;
        operation.canceller().cancel();
        refused(operation, NtStatus::STATUS_CANCELLED, request.ioctl).await?;
        let now = bench.statistics().await?;
        ensure!(
            now.orphans_live == 0
                && now.cancelled == before.cancelled + waiting
                && now.calls == before.calls,
            "{:?} was cancelled: {now:#?}",
            request.ioctl
        );
    }
    ensure!(bench.lab.state()?.held == 1, "more than one call is inside");
    bench.lab.complete(Completion::Late)?;
    bench.lab.release()?;
    let session = tls::session(&answered(inside, "the leg inside").await?)?;
    within(bench.driver.close(session)).await??;
    for credential in [server, client] {
        within(bench.driver.release(credential)).await??;
    }
    let calls = bench.quiet(0).await?.calls - before.calls;
    // Two deletions, three credentials freed: nothing was called for a request that nobody wants.
    ensure!(calls == 5, "{calls} calls");
    Ok(())
}

async fn acquire(bench: &mut Bench) -> Result<()> {
    let request = raw::acquire(bench.thumbprint, "");
    let before = cancelled_inside(bench, &request, 1).await?;
    let_go(bench).await?;
    bench
        .settle("the credential that nobody heard of", |now| {
            now.orphans_live == 0 && now.credentials_live == before.credentials_live
        })
        .await?;
    bench
        .settle_ksecdd("the same in ksecdd", |state| state.credentials == 0)
        .await
}

async fn first_leg(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let request = raw::accept_new(credential, &tls::hello()?);
    let before = cancelled_inside(bench, &request, 1).await?;
    bench
        .settle("the session that nobody heard of has failed", |now| {
            now.sessions_failed == before.sessions_failed + 1
                && now.sessions_live == before.sessions_live + 1
        })
        .await?;
    let_go(bench).await?;
    no_sessions(bench).await
}

async fn later_leg(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let (session, mut peer) = tls::begin(&bench.driver, credential).await?;
    let flight = peer.take()?;
    let request = raw::accept_next(session, &flight);
    cancelled_inside(bench, &request, 1).await?;
    // The orphan still has the context; then the session is of no more use.
    refused(
        bench.issue(&request),
        NtStatus::STATUS_DEVICE_BUSY,
        "a leg beside an orphan",
    )
    .await?;
    let_go(bench).await?;
    bench
        .settle("the orphan", |now| now.orphans_live == 0)
        .await?;
    let status = NtStatus::STATUS_INVALID_DEVICE_STATE;
    refused(bench.issue(&request), status, "a leg of a failed session").await?;
    let seal = raw::record(Ioctl::Seal, session, b"data");
    refused(bench.issue(&seal), status, "SEAL on a failed session").await?;
    within(bench.driver.close(session)).await??;
    no_sessions(bench).await
}

/// A client's legs: the first, which makes the session, and the one after the server's answer. The
/// driver is the server, too.
async fn connect(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let client = bench.client_credential().await?;
    let first = raw::connect_new(client);
    cancelled_inside(bench, &first, 1).await?;
    let_go(bench).await?;
    no_sessions(bench).await?;

    let hello = bench.reply(&first).await?;
    let session = tls::session(&hello)?;
    let accept = raw::accept_new(credential, raw::token(&hello));
    let answer = bench.reply(&accept).await?;
    let server = tls::session(&answer)?;
    let next = raw::connect_next(session, raw::token(&answer));
    cancelled_inside(bench, &next, 1).await?;
    let busy = NtStatus::STATUS_DEVICE_BUSY;
    refused(bench.issue(&next), busy, "a leg beside an orphan").await?;
    let_go(bench).await?;
    bench
        .settle("the orphan", |now| now.orphans_live == 0)
        .await?;
    let status = NtStatus::STATUS_INVALID_DEVICE_STATE;
    refused(bench.issue(&next), status, "a leg of a failed session").await?;
    for session in [session, server] {
        within(bench.driver.close(session)).await??;
    }
    within(bench.driver.release(client)).await??;
    no_sessions(bench).await
}

async fn close(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let (session, _peer) = tls::establish(&bench.driver, credential).await?;
    let request = raw::session(Ioctl::CloseSession, session);
    cancelled_inside(bench, &request, 0).await?;
    refused(
        bench.issue(&request),
        NtStatus::STATUS_NOT_FOUND,
        "a session that is closing",
    )
    .await?;
    let_go(bench).await?;
    no_sessions(bench).await
}

async fn release(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let request = raw::release(credential);
    cancelled_inside(bench, &request, 0).await?;
    let status = NtStatus::STATUS_NOT_FOUND;
    refused(
        bench.issue(&request),
        status,
        "a credential that is being freed",
    )
    .await?;
    let_go(bench).await
}

/// Cancels a request that is inside ksecdd, where it leaves so many orphans. Gives the counters
/// from before.
async fn cancelled_inside(
    bench: &mut Bench,
    request: &Request,
    orphans: u64,
) -> Result<StatisticsReply> {
    bench.lab.complete(Completion::Held)?;
    let before = bench.statistics().await?;
    let operation = bench.issue(request);
    bench.held(1).await?;
    operation.canceller().cancel();
    refused(operation, NtStatus::STATUS_CANCELLED, request.ioctl).await?;
    let now = bench.statistics().await?;
    ensure!(
        now.orphans_live == orphans && now.cancelled == before.cancelled + 1,
        "{:?} was cancelled: {now:#?}",
        request.ioctl
    );
    ensure!(bench.lab.state()?.held == 1, "ksecdd has lost a call");
    Ok(before)
}

async fn no_sessions(bench: &mut Bench) -> Result<()> {
    bench
        .settle("sessions and orphans", |now| {
            now.sessions_live == 0 && now.orphans_live == 0
        })
        .await?;
    bench
        .settle_ksecdd("contexts", |state| {
            state.contexts == 0 && state.in_flight == 0
        })
        .await
}

/// Whatever follows the held call is not to be held as well.
async fn let_go(bench: &mut Bench) -> Result<()> {
    bench.lab.complete(Completion::Late)?;
    let released = bench.lab.release()?;
    ensure!(released == 1, "{released} calls were held");
    bench.held(0).await
}
