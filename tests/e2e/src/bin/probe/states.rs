//! Requests that come at the wrong time, or with too little room: refused, and the session goes on.

use crate::{
    bench::{Bench, refused, within},
    raw::{self, Request},
    tls,
};
use anyhow::{Result, ensure};
use tlsgate::protocol::{
    CredentialId, Ioctl, NtStatus, SecurityStatus, limits,
    payload::{RecordReply, SessionReply, state},
};
use tlsgate_lab_control::ksecdd::Completion;

/// Before the handshake is complete, during a leg, and after.
pub async fn all(bench: &mut Bench) -> Result<()> {
    let credential = bench.credential().await?;
    before_the_end(bench, credential).await?;
    during_a_leg(bench, credential).await?;
    close_during_a_leg(bench, credential).await?;
    too_little_room(bench, credential).await?;
    after_a_failure(bench, credential).await?;
    after_the_handshake(bench, credential).await?;
    in_use(bench, credential).await
}

async fn before_the_end(bench: &Bench, credential: CredentialId) -> Result<()> {
    let (session, mut peer) = tls::begin(&bench.driver, credential).await?;
    let before = bench.quiet(0).await?;
    let status = NtStatus::STATUS_INVALID_DEVICE_STATE;
    for request in [
        raw::record(Ioctl::Seal, session, b"data"),
        raw::record(Ioctl::Unseal, session, b"data"),
        raw::session(Ioctl::Shutdown, session),
    ] {
        let ioctl = request.ioctl;
        refused(
            bench.issue(&request),
            status,
            (ioctl, "before the handshake's end"),
        )
        .await?;
    }
    let reply = answer(bench, &raw::session(Ioctl::QuerySession, session)).await?;
    let reply: SessionReply = raw::structure(&reply)?;
    ensure!(
        reply.state == u32::from(state::HANDSHAKING) && reply.protocol == 0,
        "QUERY_SESSION before the handshake's end: {reply:?}"
    );
    // Half a record makes no call.
    let flight = peer.take()?;
    let leg = answer(bench, &raw::accept_next(session, &flight[..3])).await?;
    let leg = raw::leg(&leg)?;
    ensure!(
        leg.head.status == SecurityStatus::SEC_E_INCOMPLETE_MESSAGE.0
            && leg.consumed == 0
            && leg.state == state::HANDSHAKING,
        "{leg:?}"
    );
    ensure!(bench.statistics().await? == before, "something changed");
    let leg = answer(bench, &raw::accept_next(session, &flight)).await?;
    let leg = raw::leg(&leg)?;
    ensure!(leg.state == state::ESTABLISHED, "{leg:?}");
    // A leg without bytes on a session that is ready for data.
    let empty = raw::accept_next(session, b"");
    refused(
        bench.issue(&empty),
        NtStatus::STATUS_INVALID_PARAMETER,
        "an empty leg",
    )
    .await?;
    within(bench.driver.close(session)).await??;
    Ok(())
}

async fn during_a_leg(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let (session, mut peer) = tls::begin(&bench.driver, credential).await?;
    let leg = raw::accept_next(session, &peer.take()?);
    bench.lab.complete(Completion::Held)?;
    let first = bench.issue(&leg);
    bench.held(1).await?;
    let before = bench.quiet(1).await?;
    let busy = NtStatus::STATUS_DEVICE_BUSY;
    refused(bench.issue(&leg), busy, "a second leg").await?;
    let query = raw::session(Ioctl::QuerySession, session);
    refused(bench.issue(&query), busy, "a query during a leg").await?;
    let seal = raw::record(Ioctl::Seal, session, b"data");
    let status = NtStatus::STATUS_INVALID_DEVICE_STATE;
    refused(bench.issue(&seal), status, "SEAL during a leg").await?;
    ensure!(
        bench.statistics().await? == before,
        "a refusal changed something"
    );
    bench.lab.complete(Completion::Late)?;
    bench.lab.release()?;
    let reply = within(first).await?.map_err(refusal)?;
    ensure!(
        raw::leg(&reply)?.state == state::ESTABLISHED,
        "the leg that was first"
    );
    within(bench.driver.close(session)).await??;
    Ok(())
}

/// CLOSE_SESSION waits for the leg, which ends as if nothing had happened.
async fn close_during_a_leg(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let (session, mut peer) = tls::begin(&bench.driver, credential).await?;
    let request = raw::accept_next(session, &peer.take()?);
    bench.lab.complete(Completion::Held)?;
    let leg = bench.issue(&request);
    bench.held(1).await?;
    let close = raw::session(Ioctl::CloseSession, session);
    let closing = bench.issue(&close);
    // Its id is void from the moment the request is seen.
    loop {
        match within(bench.issue(&raw::session(Ioctl::QuerySession, session))).await? {
            Err(NtStatus::STATUS_NOT_FOUND) => break,
            Err(NtStatus::STATUS_DEVICE_BUSY) => tokio::task::yield_now().await,
            other => anyhow::bail!("a query while the session closes: {other:?}"),
        }
    }
    refused(
        bench.issue(&request),
        NtStatus::STATUS_NOT_FOUND,
        "a leg after the close",
    )
    .await?;
    refused(
        bench.issue(&close),
        NtStatus::STATUS_NOT_FOUND,
        "a second close",
    )
    .await?;
    ensure!(
        bench.lab.state()?.held == 1,
        "the context was deleted under the leg"
    );
    bench.lab.complete(Completion::Late)?;
    bench.lab.release()?;
    let reply = within(leg).await?.map_err(refusal)?;
    ensure!(
        raw::leg(&reply)?.state == state::ESTABLISHED,
        "the leg beside the close"
    );
    within(closing).await?.map_err(refusal)?;
    bench
        .settle("the session", |now| now.sessions_live == 0)
        .await
}

async fn too_little_room(bench: &Bench, credential: CredentialId) -> Result<()> {
    let (session, mut peer) = tls::begin(&bench.driver, credential).await?;
    let small = NtStatus::STATUS_BUFFER_TOO_SMALL;
    let mut leg = raw::accept_next(session, &peer.take()?);
    leg.room = limits::LARGEST_REPLY - 1;
    let before = bench.quiet(0).await?;
    refused(bench.issue(&leg), small, "ACCEPT with a byte too little").await?;
    ensure!(
        bench.statistics().await? == before,
        "a refusal changed something"
    );
    leg.room += 1;
    let reply = answer(bench, &leg).await?;
    ensure!(
        raw::leg(&reply)?.state == state::ESTABLISHED,
        "the leg with enough room"
    );
    peer.give(&reply[size_of::<tlsgate::protocol::payload::LegReply>()..])?;

    let mut seal = raw::record(Ioctl::Seal, session, b"data");
    let sealed = sealed_length(bench, session).await?;
    for room in [
        size_of::<RecordReply>(),
        size_of::<RecordReply>() + 4,
        sealed - 1,
    ] {
        seal.room = room;
        refused(bench.issue(&seal), small, ("SEAL with room", room)).await?;
    }
    let mut unseal = raw::record(Ioctl::Unseal, session, &[0; 100]);
    for room in [size_of::<RecordReply>(), size_of::<RecordReply>() + 99] {
        unseal.room = room;
        refused(bench.issue(&unseal), small, ("UNSEAL with room", room)).await?;
    }
    // No record number was used up: the peer would notice.
    tls::talk(&bench.driver, session, &mut peer).await?;
    within(bench.driver.close(session)).await??;
    Ok(())
}

/// Room for the reply to SEAL of four bytes.
async fn sealed_length(bench: &Bench, session: tlsgate::protocol::SessionId) -> Result<usize> {
    let reply = answer(bench, &raw::session(Ioctl::QuerySession, session)).await?;
    let reply: SessionReply = raw::structure(&reply)?;
    let around = usize::try_from(reply.header + reply.trailer)?;
    Ok(size_of::<RecordReply>() + around + 4)
}

/// A peer's bad bytes: the session has failed, everything else is untouched.
async fn after_a_failure(bench: &Bench, credential: CredentialId) -> Result<()> {
    let (other, mut other_peer) = tls::establish(&bench.driver, credential).await?;
    let (session, _peer) = tls::establish(&bench.driver, credential).await?;
    let garbage = [&[0x17, 3, 3, 0, 32][..], &[0x55; 32]].concat();
    let record = within(bench.driver.unseal(session, &garbage)).await??;
    ensure!(
        record.status.is_error() && record.bytes.is_empty(),
        "{record:?}"
    );
    let status = NtStatus::STATUS_INVALID_DEVICE_STATE;
    for request in [
        raw::record(Ioctl::Seal, session, b"data"),
        raw::record(Ioctl::Unseal, session, &garbage),
        raw::accept_next(session, &garbage),
    ] {
        refused(
            bench.issue(&request),
            status,
            (request.ioctl, "on a failed session"),
        )
        .await?;
    }
    tls::talk(&bench.driver, other, &mut other_peer).await?;
    for session in [session, other] {
        within(bench.driver.close(session)).await??;
    }
    Ok(())
}

/// A post-handshake message, as UNSEAL left it, need not look like a record: whatever the bytes are, ksecdd
/// judges them. What cannot be TLS is not refused without a call, as it would be before. (Where ksecdd wants more room
/// than a leg's output first has, it is asked again.)
async fn after_the_handshake(bench: &Bench, credential: CredentialId) -> Result<()> {
    for bytes in [&b"no record"[..], b"\x16", b"\x16\x03\x03\x7f\xff"] {
        let (session, _peer) = tls::establish(&bench.driver, credential).await?;
        let before = bench.quiet(0).await?;
        answer(bench, &raw::accept_next(session, bytes)).await?;
        let calls = bench.quiet(0).await?.calls - before.calls;
        ensure!(calls >= 1, "{bytes:?} made no call");
        within(bench.driver.close(session)).await??;
    }
    Ok(())
}

/// A credential that is released goes with the last of its sessions.
async fn in_use(bench: &Bench, credential: CredentialId) -> Result<()> {
    let (session, mut peer) = tls::begin(&bench.driver, credential).await?;
    ensure!(
        within(bench.driver.release(credential)).await??,
        "the release was not deferred"
    );
    let leg = raw::accept_new(credential, &tls::hello()?);
    refused(
        bench.issue(&leg),
        NtStatus::STATUS_NOT_FOUND,
        "a released credential",
    )
    .await?;
    tls::finish(&bench.driver, session, &mut peer).await?;
    tls::talk(&bench.driver, session, &mut peer).await?;
    within(bench.driver.close(session)).await??;
    bench
        .settle("the credential", |now| now.credentials_live == 0)
        .await
}

async fn answer(bench: &Bench, request: &Request) -> Result<Vec<u8>> {
    within(bench.issue(request)).await?.map_err(refusal)
}

fn refusal(status: NtStatus) -> anyhow::Error {
    anyhow::anyhow!("refused: {}", crate::bench::name(status))
}
