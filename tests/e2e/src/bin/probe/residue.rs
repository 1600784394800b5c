//! Tokens and plaintext are gone from what the driver gives back: the framework's stand-in remembers that as
//! it was, and is asked for bytes that nothing else has.

use crate::{
    bench::{Bench, answered, refused, within},
    raw, tls,
};
use anyhow::{Context, Result, ensure};
use std::io;
use tlsgate::protocol::{
    CredentialId, Ioctl, NtStatus, SecurityStatus, SessionId,
    payload::{RecordReply, state},
};
use tlsgate_lab_control::{
    kmdf::Found,
    ksecdd::{Completion, Effect, Function},
};

/// Bytes of a TLS 1.3 record's header.
const HEADER: usize = 5;

/// Room for all that a scenario gives back.
const REMEMBERED: usize = 64 << 20;

/// Bytes that nothing else has.
const NEEDLE: usize = 32;

/// Allocations of a first leg, and some more.
const ALLOCATIONS: u64 = 16;

/// Where a token that nothing else has can be found in a `ClientHello` and a `ServerHello`: their random.
const RANDOM: std::ops::Range<usize> = 11..11 + NEEDLE;

/// Each way that tokens and plaintext go.
pub async fn all(bench: &mut Bench) -> Result<()> {
    remember(bench, REMEMBERED)?;
    let credential = bench.credential().await?;
    let (session, mut peer) = handshake(bench, credential).await?;
    records(bench, session, &mut peer).await?;
    refusals(bench, credential, session).await?;
    within(bench.driver.close(session)).await??;
    held(bench, credential).await?;
    failures(bench, credential).await?;
    without_memory(bench, credential).await?;
    within(bench.driver.release(credential)).await??;
    let all = bench.lab.search(&[0; 1])?;
    ensure!(
        all.remembered > 100 && all.forgotten == 0,
        "too little, or not all, was remembered: {all:?}"
    );
    remember(bench, 0)
}

/// Leaves legs inside ksecdd and one that waits, says their tokens' bytes in hexadecimal, and waits to be
/// killed.
pub async fn leave(bench: &mut Bench) -> Result<()> {
    remember(bench, REMEMBERED)?;
    let credential = bench.credential().await?;
    bench.lab.complete(Completion::Held)?;
    let mut legs = Vec::new();
    for _ in 0..3 {
        let hello = tls::hello()?;
        let needle = random(&hello)?;
        legs.push(bench.issue(&raw::accept_new(credential, &hello)));
        bench.held(legs.len()).await?;
        let number = u128::from_be_bytes(needle[..16].try_into()?);
        println!("token {number:032x}");
    }
    println!("held");
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Its tokens go with the legs.
async fn handshake(bench: &mut Bench, credential: CredentialId) -> Result<(SessionId, tls::Peer)> {
    let mut peer = tls::Peer::new()?;
    let hello = peer.take()?;
    let reply = bench.reply(&raw::accept_new(credential, &hello)).await?;
    let session = tls::session(&reply)?;
    let token = raw::token(&reply).to_vec();
    peer.give(&token)?;
    let flight = peer.take()?;
    let reply = bench.reply(&raw::accept_next(session, &flight)).await?;
    ensure!(
        raw::leg(&reply)?.state == state::ESTABLISHED,
        "no handshake"
    );
    peer.give(raw::token(&reply))?;
    let end = flight.len().checked_sub(NEEDLE).context("a short flight")?;
    gone(bench, "the ClientHello", random(&hello)?).await?;
    gone(bench, "the ServerHello", random(&token)?).await?;
    gone(bench, "the client's last flight", &flight[end..]).await?;
    Ok((session, peer))
}

/// Plaintext is in its own request alone.
async fn records(bench: &mut Bench, session: SessionId, peer: &mut tls::Peer) -> Result<()> {
    for length in [NEEDLE, 1_000, 40_000] {
        // The plaintext is moved behind a record's header, or lies there.
        for offset in [0, HEADER] {
            let (needle, data) = secret(length)?;
            let mut seal = raw::record_behind(Ioctl::Seal, session, offset, &data);
            seal.room += 2 * length;
            let reply = bench.reply(&seal).await?;
            gone(bench, "what was sealed", &needle).await?;
            let heard = peer.hear(&reply[size_of::<RecordReply>()..])?;
            ensure!(heard == data, "the peer heard something else");
        }
        let (needle, data) = secret(length)?;
        let records = peer.say(&data)?;
        let reply = bench
            .reply(&raw::records(Ioctl::Unseal, session, &records))
            .await?;
        ensure!(reply.ends_with(&data), "something else was unsealed");
        gone(bench, "what was unsealed", &needle).await?;
    }
    Ok(())
}

/// What is refused leaves nothing in its request's buffer.
async fn refusals(bench: &mut Bench, credential: CredentialId, session: SessionId) -> Result<()> {
    let (half, _) = tls::begin(&bench.driver, credential).await?;
    let unknown = SessionId::from_wire(u64::MAX).context("an id of 0")?;
    let (needle, data) = secret(1_000)?;
    let seal = |session| raw::record(Ioctl::Seal, session, &data);
    let mut long = seal(session);
    long.input.push(0);
    let mut narrow = seal(session);
    narrow.room = size_of::<RecordReply>() + data.len();
    for (what, request, status) in [
        (
            "before the end",
            seal(half),
            NtStatus::STATUS_INVALID_DEVICE_STATE,
        ),
        ("of no session", seal(unknown), NtStatus::STATUS_NOT_FOUND),
        ("a byte too long", long, NtStatus::STATUS_INVALID_PARAMETER),
        ("without room", narrow, NtStatus::STATUS_BUFFER_TOO_SMALL),
    ] {
        refused(bench.issue(&request), status, what).await?;
        gone(bench, what, &needle).await?;
    }
    within(bench.driver.close(half)).await??;
    Ok(())
}

/// A token is where its leg is, and goes with it: with the reply, or as that of an orphan.
async fn held(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    for cancelled in [false, true] {
        let hello = tls::hello()?;
        bench.lab.complete(Completion::Held)?;
        let leg = bench.issue(&raw::accept_new(credential, &hello));
        bench.held(1).await?;
        let now = bench.lab.search(random(&hello)?)?;
        ensure!(
            now.live > 0 && now.buffers == 1 && now.freed + now.completed == 0,
            "during a leg: {now:?}"
        );
        if cancelled {
            leg.canceller().cancel();
            refused(leg, NtStatus::STATUS_CANCELLED, "a held leg").await?;
            let now = bench.lab.search(random(&hello)?)?;
            ensure!(
                now.live > 0 && now.buffers + now.freed + now.completed == 0,
                "an orphan: {now:?}"
            );
            bench.lab.complete(Completion::Late)?;
            bench.lab.release()?;
        } else {
            bench.lab.complete(Completion::Late)?;
            bench.lab.release()?;
            let reply = answered(leg, "the leg").await?;
            within(bench.driver.close(tls::session(&reply)?)).await??;
        }
        gone(bench, "a leg's token", random(&hello)?).await?;
    }
    Ok(())
}

/// Calls that are refused or fail.
async fn failures(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    let status = SecurityStatus::SEC_E_INTERNAL_ERROR.0;
    for effect in [Effect::Refused(status), Effect::Completed(status)] {
        bench
            .lab
            .fault(Function::SspiAcceptSecurityContextAsync, &[effect])?;
        let hello = tls::hello()?;
        let reply = bench.reply(&raw::accept_new(credential, &hello)).await?;
        within(bench.driver.close(tls::session(&reply)?)).await??;
        gone(bench, "the token of a call that failed", random(&hello)?).await?;
    }
    Ok(())
}

async fn without_memory(bench: &mut Bench, credential: CredentialId) -> Result<()> {
    // What a look-aside list has kept does not fail.
    bench.lab.kmdf(|switches| switches.lookaside_depth = 0)?;
    for successes in 0..ALLOCATIONS {
        let hello = tls::hello()?;
        bench
            .lab
            .kmdf(|switches| switches.fail_allocation_after = Some(successes))?;
        let answer = within(bench.issue(&raw::accept_new(credential, &hello))).await?;
        bench
            .lab
            .kmdf(|switches| switches.fail_allocation_after = None)?;
        let session = answer.ok().and_then(|reply| tls::session(&reply).ok());
        if let Some(session) = session {
            within(bench.driver.close(session)).await??;
        }
        gone(bench, ("without allocation", successes), random(&hello)?).await?;
    }
    Ok(())
}

/// The bytes are nowhere, as soon as the operation that had them has ended: a moment after its reply.
async fn gone(bench: &mut Bench, what: impl std::fmt::Debug, needle: &[u8]) -> Result<()> {
    bench.quiet(0).await?;
    let found = bench.lab.search(needle)?;
    let nowhere = Found {
        remembered: found.remembered,
        forgotten: found.forgotten,
        ..Found::default()
    };
    ensure!(found == nowhere, "{what:?}: {found:?}");
    Ok(())
}

fn remember(bench: &mut Bench, most: usize) -> Result<()> {
    bench.lab.kmdf(|switches| switches.remember_freed = most)
}

fn random(hello: &[u8]) -> Result<&[u8]> {
    hello.get(RANDOM).context("a short hello")
}

/// Random bytes, and data with them in the middle.
fn secret(length: usize) -> Result<([u8; NEEDLE], Vec<u8>)> {
    let hello = tls::hello()?;
    let needle: [u8; NEEDLE] = random(&hello)?.try_into()?;
    let mut data = vec![b'.'; length];
    let place = (length - NEEDLE) / 2;
    data[place..place + NEEDLE].copy_from_slice(&needle);
    Ok((needle, data))
}
