//! Quotas: the one request too many is refused, counted once, and changes nothing; when something has
//! been given back, the next succeeds. A handle that is full does not fill another one, but all
//! together are bounded, too.
//!
//! Each scenario runs under small quotas that the test has set.

use crate::{
    bench::{Bench, answered, name, refused, send, within},
    raw::{self, Request},
    tls,
};
use anyhow::{Context, Result, anyhow, ensure};
use clap::ValueEnum;
use std::time::{Duration, Instant};
use tlsgate::{
    Device,
    device::Operation,
    protocol::{CredentialId, Ioctl, NtStatus, SecurityStatus, limits},
};
use tlsgate_lab_control::ksecdd::{Completion, Effect, Function};

/// How long it may take until something has been given back.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which quotas are small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Quota {
    /// 3 handles; 4 sessions and 4 credentials, 3 of each on a handle.
    Things,
    /// 4 pending requests, 3 on a handle; 3 orphans, 2 on a handle.
    Requests,
    /// 24 operations, 16 on a handle.
    Operations,
    /// 2 MiB of input, 1 MiB on a handle.
    Input,
    /// One failed handshake a second, 3 at once.
    Failures,
}

/// Meets each of them.
pub async fn all(bench: &mut Bench, quota: Quota) -> Result<()> {
    match quota {
        Quota::Things => things(bench).await,
        Quota::Requests => {
            requests(bench).await?;
            orphans(bench).await
        }
        Quota::Operations => operations(bench).await,
        Quota::Input => input(bench).await,
        Quota::Failures => {
            failures(bench).await?;
            too_late(bench).await
        }
    }
}

async fn things(bench: &mut Bench) -> Result<()> {
    let other = Device::open()?;
    handles(bench).await?;
    let acquire = raw::acquire(bench.thumbprint, "");
    let mut own = Vec::new();
    for _ in 0..3 {
        own.push(bench.credential().await?);
    }
    too_many(bench, &bench.device, &acquire).await?;
    let theirs = bench.credential_on(&other.driver()).await?;
    too_many(bench, &other, &acquire).await?;
    let last = own.pop().context("no credential")?;
    within(bench.driver.release(last)).await??;
    succeeds(&other, &acquire).await?;
    too_many(bench, &other, &acquire).await?;

    let credential = *own.first().context("no credential")?;
    let (own, theirs) = (leg(credential)?, leg(theirs)?);
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(tls::session(&succeeds(&bench.device, &own).await?)?);
    }
    too_many(bench, &bench.device, &own).await?;
    succeeds(&other, &theirs).await?;
    too_many(bench, &other, &theirs).await?;
    let last = sessions.pop().context("no session")?;
    within(bench.driver.close(last)).await??;
    succeeds(&other, &theirs).await?;
    too_many(bench, &other, &theirs).await?;
    too_many(bench, &bench.device, &own).await?;
    drop(other);
    close_all(bench).await
}

/// There are two already.
async fn handles(bench: &Bench) -> Result<()> {
    let query = raw::query(Ioctl::QueryVersion);
    let third = Device::open()?;
    answered(send(&third, &query), "the third handle").await?;
    let before = bench.statistics().await?.quota_refusals;
    // Wine gives a handle even so; there is no file behind it.
    if let Ok(fourth) = Device::open() {
        let status = NtStatus::STATUS_INVALID_DEVICE_REQUEST;
        refused(send(&fourth, &query), status, "the fourth handle").await?;
    }
    let now = bench.statistics().await?.quota_refusals;
    ensure!(now == before + 1, "{} refusals", now - before);
    drop(third);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let again = Device::open().ok();
        if let Some(again) = again
            && within(send(&again, &query)).await?.is_ok()
        {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "a handle was not given back");
        tokio::task::yield_now().await;
    }
}

async fn requests(bench: &mut Bench) -> Result<()> {
    let other = Device::open()?;
    let own = leg(bench.credential().await?)?;
    let theirs = leg(bench.credential_on(&other.driver()).await?)?;
    let unused = bench.credential().await?;
    let (closing, _peer) = tls::establish(&bench.driver, unused).await?;
    bench.lab.complete(Completion::Held)?;
    let mut pending = Vec::new();
    for held in 1..=3 {
        pending.push(bench.issue(&own));
        bench.held(held).await?;
    }
    too_many(bench, &bench.device, &own).await?;
    let last = send(&other, &theirs);
    bench.held(4).await?;
    too_many(bench, &other, &theirs).await?;
    too_many(bench, &other, &raw::acquire(bench.thumbprint, "")).await?;
    bench.lab.complete(Completion::Late)?;
    // What closes something needs no room.
    within(bench.driver.close(closing)).await??;
    ensure!(!within(bench.driver.release(unused)).await??, "deferred");
    // One of the first handle's makes room for the other handle.
    bench.lab.release_some(Some(1))?;
    let mut pending = pending.into_iter();
    answered(pending.next().context("no leg")?, "the first leg").await?;
    succeeds(&other, &theirs).await?;
    bench.lab.release()?;
    for operation in pending.chain([last]) {
        answered(operation, "a leg that was held").await?;
    }
    drop(other);
    close_all(bench).await
}

async fn orphans(bench: &mut Bench) -> Result<()> {
    let other = Device::open()?;
    let own = leg(bench.credential().await?)?;
    let theirs = leg(bench.credential_on(&other.driver()).await?)?;
    bench.lab.complete(Completion::Held)?;
    for orphans in 1..=2 {
        orphan(bench, bench.issue(&own), orphans).await?;
    }
    too_many(bench, &bench.device, &own).await?;
    too_many(bench, &bench.device, &raw::acquire(bench.thumbprint, "")).await?;
    orphan(bench, send(&other, &theirs), 3).await?;
    too_many(bench, &other, &theirs).await?;
    bench.lab.complete(Completion::Late)?;
    bench.lab.release_some(Some(1))?;
    succeeds(&bench.device, &own).await?;
    bench.lab.release()?;
    succeeds(&other, &theirs).await?;
    drop(other);
    close_all(bench).await
}

/// Cancels a leg when it is inside ksecdd, which makes so many of them orphans.
async fn orphan(bench: &mut Bench, operation: Operation, orphans: usize) -> Result<()> {
    bench.held(orphans).await?;
    operation.canceller().cancel();
    refused(operation, NtStatus::STATUS_CANCELLED, "a held leg").await?;
    let now = bench.statistics().await?.orphans_live;
    ensure!(now == u64::try_from(orphans)?, "{now} orphans");
    Ok(())
}

/// A credential takes one operation, a session one, a leg one.
async fn operations(bench: &mut Bench) -> Result<()> {
    let other = Device::open()?;
    let own = leg(bench.credential().await?)?;
    let mut legs = Vec::new();
    bench.lab.complete(Completion::Held)?;
    for held in 1..=7 {
        legs.push(bench.issue(&own));
        bench.held(held).await?;
    }
    too_many(bench, &bench.device, &own).await?;
    bench.lab.complete(Completion::Late)?;
    let theirs = leg(bench.credential_on(&other.driver()).await?)?;
    bench.lab.complete(Completion::Held)?;
    for held in 8..=11 {
        legs.push(send(&other, &theirs));
        bench.held(held).await?;
    }
    too_many(bench, &other, &theirs).await?;
    bench.lab.complete(Completion::Late)?;
    bench.lab.release_some(Some(2))?;
    let mut legs = legs.into_iter();
    for leg in legs.by_ref().take(2) {
        answered(leg, "one of the first legs").await?;
    }
    succeeds(&other, &theirs).await?;
    bench.lab.release()?;
    for leg in legs {
        answered(leg, "a leg that was held").await?;
    }
    drop(other);
    close_all(bench).await
}

/// Sixteen legs with as much input as may be take a MiB.
async fn input(bench: &mut Bench) -> Result<()> {
    let (second, third) = (Device::open()?, Device::open()?);
    let credentials = [
        bench.credential().await?,
        bench.credential_on(&second.driver()).await?,
        bench.credential_on(&third.driver()).await?,
    ];
    let mut bytes = tls::hello()?;
    let [small, of_second, of_third] = credentials.map(|it| raw::accept_new(it, &bytes));
    bytes.resize(limits::MAX_INPUT, 0);
    let [own, theirs, _] = credentials.map(|it| raw::accept_new(it, &bytes));
    bench.lab.complete(Completion::Held)?;
    let mut legs = Vec::new();
    for held in 1..=16 {
        legs.push(bench.issue(&own));
        bench.held(held).await?;
    }
    too_many(bench, &bench.device, &small).await?;
    for held in 17..=32 {
        legs.push(send(&second, &theirs));
        bench.held(held).await?;
    }
    too_many(bench, &second, &of_second).await?;
    // Of its own it has nothing.
    too_many(bench, &third, &of_third).await?;
    bench.lab.complete(Completion::Late)?;
    bench.lab.release_some(Some(1))?;
    let mut legs = legs.into_iter();
    answered(legs.next().context("no leg")?, "the first leg").await?;
    succeeds(&third, &of_third).await?;
    succeeds(&bench.device, &small).await?;
    bench.lab.release()?;
    for leg in legs {
        answered(leg, "a leg that was held").await?;
    }
    drop((second, third));
    close_all(bench).await
}

/// Bytes that are not TLS fail a handshake without a call; so does a call that fails.
async fn failures(bench: &mut Bench) -> Result<()> {
    let other = Device::open()?;
    let credential = bench.credential().await?;
    let theirs = leg(bench.credential_on(&other.driver()).await?)?;
    let good = leg(credential)?;
    let garbage = raw::accept_new(credential, &[0x55; 64]);
    let failing = SecurityStatus::SEC_E_INTERNAL_ERROR.0;
    bench.lab.fault(
        Function::SspiAcceptSecurityContextAsync,
        &[Effect::Completed(failing)],
    )?;
    let started = Instant::now();
    let before = bench.statistics().await?;
    bench.reply(&good).await?;
    let failed = 1 + until_refused(bench, &garbage, 3, started).await?;
    ensure!(failed >= 3, "refused after {failed} failures");
    let now = bench.statistics().await?;
    ensure!(
        now.rate_refusals == before.rate_refusals + 1
            && now.quota_refusals == before.quota_refusals,
        "{now:#?}"
    );
    // What has begun goes on, and another handle is not concerned.
    succeeds(&other, &theirs).await?;
    bench.lab.advance(1_000)?;
    let session = tls::session(&bench.reply(&good).await?)?;
    within(bench.driver.close(session)).await??;
    drop(other);
    close_all(bench).await
}

/// A handshake that is not over in time has failed, too, though its session lives until it is closed.
async fn too_late(bench: &mut Bench) -> Result<()> {
    const TIME: u32 = 10_000;
    let credential = bench.credential().await?;
    let mut late = Vec::new();
    for _ in 0..3 {
        let mut peer = tls::Peer::new()?;
        let first = raw::accept_new(credential, &peer.take()?);
        let reply = bench.reply(&raw::within(first, TIME)).await?;
        peer.give(raw::token(&reply))?;
        late.push(raw::accept_next(tls::session(&reply)?, &peer.take()?));
    }
    bench.lab.advance(u64::from(TIME))?;
    let started = Instant::now();
    for leg in &late {
        let status = NtStatus::STATUS_IO_TIMEOUT;
        refused(bench.issue(leg), status, "a leg that is too late").await?;
    }
    let garbage = raw::accept_new(credential, &[0x55; 64]);
    until_refused(bench, &garbage, 0, started).await?;
    close_all(bench).await
}

/// Fails handshakes until one is refused. Gives how many failed: not more than are borne at once, and
/// one for each second.
async fn until_refused(
    bench: &Bench,
    garbage: &Request,
    at_once: u64,
    started: Instant,
) -> Result<u64> {
    let mut failed = 0;
    loop {
        match within(bench.issue(garbage)).await? {
            Ok(reply) => {
                let reply = raw::leg(&reply)?;
                ensure!(reply.head.status < 0, "garbage: {reply:?}");
                failed += 1;
            }
            Err(NtStatus::STATUS_RETRY) => return Ok(failed),
            Err(other) => return Err(anyhow!("garbage: {}", name(other))),
        }
        let most = at_once + started.elapsed().as_secs() + 1;
        ensure!(failed <= most, "{failed} failures, {most} were due");
    }
}

fn leg(credential: CredentialId) -> Result<Request> {
    Ok(raw::accept_new(credential, &tls::hello()?))
}

/// One too many: refused, counted once, and nothing is left of it.
async fn too_many(bench: &Bench, device: &Device, request: &Request) -> Result<()> {
    let before = bench.statistics().await?;
    let status = NtStatus::STATUS_QUOTA_EXCEEDED;
    refused(send(device, request), status, request.ioctl).await?;
    let refusals = bench.statistics().await?.quota_refusals - before.quota_refusals;
    ensure!(refusals == 1, "{:?}: {refusals} refusals", request.ioctl);
    bench
        .settle("what was refused", |now| {
            now.sessions_live == before.sessions_live
                && now.credentials_live == before.credentials_live
                && now.async_contexts_live == before.async_contexts_live
                && now.in_flight_live <= before.in_flight_live
                && now.waiting_live == before.waiting_live
        })
        .await
}

/// Something has been given back, or is about to: the driver answers a moment before that.
async fn succeeds(device: &Device, request: &Request) -> Result<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match within(send(device, request)).await? {
            Err(NtStatus::STATUS_QUOTA_EXCEEDED) if Instant::now() < deadline => {
                tokio::task::yield_now().await;
            }
            Err(status) => return Err(anyhow!("{:?}: {}", request.ioctl, name(status))),
            Ok(reply) => return Ok(reply),
        }
    }
}

/// A handle of its own for what comes next: everything of this one goes with it.
async fn close_all(bench: &mut Bench) -> Result<()> {
    let fresh = Bench::open(bench.thumbprint)?;
    *bench = fresh;
    bench.empty().await
}
