//! ETW events of a session's life: each once, with its fields, and none while nobody listens.

use crate::{
    bench::{Bench, INTERVAL, refused, send, within},
    raw,
    switches::StandIns,
    tls,
};
use anyhow::{Context, Result, bail, ensure};
use tlsgate::{
    Device,
    device::Operation,
    protocol::{CredentialId, Ioctl, NtStatus, SecurityStatus, SessionId},
};
use tlsgate_lab_control::{
    kmdf::{Event, Value},
    ksecdd::{Completion, Effect, Function},
};

/// What the leg that fails gives.
const WRONG: SecurityStatus = SecurityStatus::SEC_E_INSUFFICIENT_MEMORY;

/// Longer than anything here takes, in milliseconds.
const TIME: u32 = 1_000_000;

/// Every end of a session, and every way to orphan a leg.
pub async fn all(bench: &mut Bench) -> Result<()> {
    let credential = bench.credential().await?;
    bench.lab.listen(true)?;
    let (session, _peer) = tls::establish(&bench.driver, credential).await?;
    let closing = bench.driver.close(session);
    let took = ended(bench, closing, "server", "closed", 0).await?;
    ensure!(took > 0, "an established session's handshake took no time");
    half(bench, credential).await?;
    failed(bench, credential).await?;
    client(bench).await?;
    orphans(bench, credential).await?;
    refusal(bench, session).await?;

    bench.lab.listen(false)?;
    let (last, before) = (last(&mut bench.lab)?, bench.lab.report()?.event_writes);
    bench.whole_handshake().await?;
    let (events, after) = (bench.lab.events(last)?, bench.lab.report()?.event_writes);
    ensure!(
        events.is_empty() && before == after,
        "{} events were written with nobody listening: {events:?}",
        after - before
    );
    within(bench.driver.release(credential)).await??;
    Ok(())
}

/// A request for a session that is gone.
async fn refusal(bench: &mut Bench, gone: SessionId) -> Result<()> {
    let before = last(&mut bench.lab)?;
    let query = bench.issue(&raw::session(Ioctl::QuerySession, gone));
    refused(query, NtStatus::STATUS_NOT_FOUND, "a session that is gone").await?;
    let written = bench.lab.events(before)?;
    let event = only(&written, "Refused")?;
    ensure!(
        event.level == 3
            && event.fields["ioctl"] == text("QuerySession")
            && event.fields["ntstatus"] == hexadecimal(NtStatus::STATUS_NOT_FOUND.0)
            && event.fields["what"] == text("STATUS_NOT_FOUND"),
        "{event:?}"
    );
    Ok(())
}

async fn half(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let (session, _peer) = tls::begin(&bench.driver, credential).await?;
    let closing = bench.driver.close(session);
    let reason = "closed before it was established";
    let took = ended(bench, closing, "server", reason, 0).await?;
    ensure!(took == 0, "half a handshake took {took}");
    Ok(())
}

async fn failed(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    bench.lab.fault(
        Function::SspiAcceptSecurityContextAsync,
        &[Effect::Completed(WRONG.0)],
    )?;
    let leg = raw::accept_new(credential, &tls::hello()?);
    let session = tls::session(&bench.reply(&leg).await?)?;
    let closing = bench.driver.close(session);
    ended(bench, closing, "server", "failed", WRONG.0).await?;
    Ok(())
}

async fn client(bench: &mut Bench) -> Result<()> {
    let credential = bench.client_credential().await?;
    let hello = bench.reply(&raw::connect_new(credential)).await?;
    let closing = bench.driver.close(tls::session(&hello)?);
    let reason = "closed before it was established";
    ended(bench, closing, "client", reason, 0).await?;
    within(bench.driver.release(credential)).await??;
    Ok(())
}

/// The last session that was started ends so. Gives how long its handshake took.
async fn ended(
    bench: &mut Bench,
    closing: tlsgate::Pending<()>,
    role: &str,
    reason: &str,
    status: i32,
) -> Result<u64> {
    let started = bench.lab.events(0)?;
    let started = started.iter().rev().find(|it| it.name == "SessionStarted");
    let started = started.context("no session has started")?;
    ensure!(
        started.level == 4 && started.fields["role"] == text(role),
        "{started:?}"
    );
    within(closing).await??;
    let written = bench.lab.events(started.number)?;
    let event = only(&written, "SessionEnded")?;
    ensure!(
        event.level == 4
            && event.keyword == started.keyword
            && event.fields["session"] == started.fields["session"]
            && event.fields["reason"] == text(reason)
            && event.fields["status"] == hexadecimal(status),
        "{event:?} of {started:?}"
    );
    number(event, "handshake_us")
}

/// A held leg loses its request in three ways.
async fn orphans(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let leg = raw::within(raw::accept_new(credential, &tls::hello()?), TIME);
    let operation = hold(bench, &bench.device.clone(), &leg).await?;
    operation.canceller().cancel();
    refused(operation, NtStatus::STATUS_CANCELLED, "cancelled").await?;
    orphaned(bench, "cancelled").await?;

    let operation = hold(bench, &bench.device.clone(), &leg).await?;
    bench.lab.advance(u64::from(TIME))?;
    refused(operation, NtStatus::STATUS_IO_TIMEOUT, "timed out").await?;
    orphaned(bench, "time-out").await?;

    let other = Device::open()?;
    let credential = bench.credential_on(&other.driver()).await?;
    let leg = raw::accept_new(credential, &tls::hello()?);
    hold(bench, &other, &leg).await?.detach();
    drop(other);
    bench
        .settle("the closed handle", |now| now.orphans_live == 1)
        .await?;
    orphaned(bench, "handle closed").await
}

/// A leg inside ksecdd.
async fn hold(bench: &mut Bench, device: &Device, leg: &raw::Request) -> Result<Operation> {
    bench.lab.complete(Completion::Held)?;
    let operation = send(device, leg);
    bench.held(1).await?;
    bench.lab.complete(Completion::Late)?;
    Ok(operation)
}

/// The last session's leg is an orphan, and said so; it is let go.
async fn orphaned(bench: &mut Bench, reason: &str) -> Result<()> {
    let all = bench.lab.events(0)?;
    let started = all.iter().rev().find(|it| it.name == "SessionStarted");
    let started = started.context("no session has started")?;
    let event = come(bench, started.number, "Orphaned").await?;
    ensure!(
        event.level == 5
            && event.fields["session"] == started.fields["session"]
            && event.fields["reason"] == text(reason),
        "{event:?} of {started:?}"
    );
    bench.lab.release()?;
    bench
        .settle("the orphan", |now| {
            now.orphans_live == 0 && now.sessions_live == 0
        })
        .await?;
    let ended = bench.lab.events(started.number)?;
    let ended = only(&ended, "SessionEnded")?;
    ensure!(
        ended.fields["reason"] == text("failed"),
        "an orphan's session: {ended:?}"
    );
    Ok(())
}

/// The event of this name behind that of a number: what it tells of may be seen a moment before.
pub async fn come(bench: &mut Bench, after: u64, name: &str) -> Result<Event> {
    let look = async {
        loop {
            let written = bench.lab.events(after)?;
            match written.into_iter().find(|it| it.name == name) {
                Some(event) => return anyhow::Ok(event),
                None => tokio::time::sleep(INTERVAL).await,
            }
        }
    };
    within(look)
        .await
        .with_context(|| format!("no event {name}"))?
}

/// The number of the last event so far.
pub fn last(lab: &mut StandIns) -> Result<u64> {
    Ok(lab.events(0)?.last().map_or(0, |event| event.number))
}

/// The one event of this name.
pub fn only<'a>(events: &'a [Event], name: &str) -> Result<&'a Event> {
    let mut found = events.iter().filter(|event| event.name == name);
    match (found.next(), found.next()) {
        (Some(event), None) => Ok(event),
        _ => bail!("not one {name} among {events:?}"),
    }
}

/// A number among an event's fields.
pub fn number(event: &Event, field: &str) -> Result<u64> {
    match event.fields.get(field) {
        Some(Value::Unsigned(value)) => Ok(*value),
        _ => bail!("no number {field} in {event:?}"),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// As ETW shows a status.
fn hexadecimal(status: i32) -> Value {
    Value::Unsigned(u64::from(status.cast_unsigned()))
}
