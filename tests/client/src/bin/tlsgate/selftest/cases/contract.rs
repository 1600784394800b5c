//! The contract: version, limits, and misuse with the NTSTATUS that it deserves.

use crate::selftest::{
    memory,
    pki::reference,
    site::{Site, is_refused, refused},
};
use anyhow::{Result, bail, ensure};
use std::mem::offset_of;
use tlsgate::{
    CredentialOptions, Error, Leg, NewSession, Start,
    protocol::{
        ABI_VERSION, Ioctl, NtStatus, SessionId, limits,
        payload::{
            AcceptRequest, CloseReply, RecordReply, RecordRequest, RequestHead, SessionReply,
            SessionRequest, VersionReply, state,
        },
    },
};
use zerocopy::IntoBytes;

/// A code of the device's type that means nothing.
const UNKNOWN: u32 = (0x8541 << 16) | (1 << 14) | (0xFFF << 2);

/// How often two legs of a session are sent at once.
const TRIES: usize = 50;

pub async fn version(site: &Site) -> Result<String> {
    let version = site.handle()?.driver.version().await?;
    let as_due = [
        ("ABI version", version.head.version, ABI_VERSION),
        (
            "largest input",
            version.largest_input,
            number(limits::MAX_INPUT),
        ),
        (
            "largest reply",
            version.largest_reply,
            number(limits::LARGEST_REPLY),
        ),
        (
            "largest records",
            version.largest_records,
            number(limits::MAX_RECORDS),
        ),
        ("what is switched off", version.switched_off, 0),
    ];
    for (what, told, due) in as_due {
        ensure!(told == due, "{what}: {told}, not {due}");
    }
    let (usual, longest) = (version.default_timeout_ms, version.longest_timeout_ms);
    ensure!(
        0 < usual && usual <= longest,
        "times of handshakes: {usual} ms, and at most {longest} ms"
    );
    Ok(format!(
        "TlsGate {}.{}.{}, ABI version {}",
        version.major, version.minor, version.patch, version.head.version
    ))
}

fn number(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

pub async fn misuse(site: &Site) -> Result<String> {
    use NtStatus as Nt;
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let credential = handle.driver.acquire(&options).await?;
    let (session, mut peer) = memory::establish(&handle.driver, credential, &site.pki).await?;

    let head = RequestHead::default();
    let version = size_of::<VersionReply>();
    let reply = handle.issue(UNKNOWN, head.as_bytes(), version);
    refused(reply, Nt::STATUS_INVALID_DEVICE_REQUEST, "an unknown code").await?;
    let query = Ioctl::QueryVersion.code();
    let short = &head.as_bytes()[..7];
    let reply = handle.issue(query, short, version);
    refused(reply, Nt::STATUS_BUFFER_TOO_SMALL, "a short request").await?;
    let reply = handle.issue(query, head.as_bytes(), version - 1);
    refused(
        reply,
        Nt::STATUS_BUFFER_TOO_SMALL,
        "little room for a reply",
    )
    .await?;
    let long = [head.as_bytes(), &[0]].concat();
    let reply = handle.issue(query, &long, version);
    refused(reply, Nt::STATUS_INVALID_PARAMETER, "a long request").await?;

    let good = SessionRequest {
        head,
        session: session.get(),
    };
    let mut other = good;
    other.head.version = ABI_VERSION + 1;
    let ask = |request: &SessionRequest| {
        let room = size_of::<SessionReply>();
        handle.issue(Ioctl::QuerySession.code(), request.as_bytes(), room)
    };
    refused(
        ask(&other),
        Nt::STATUS_REVISION_MISMATCH,
        "another ABI version",
    )
    .await?;
    let mut flagged = good;
    flagged.head.flags = 1;
    refused(
        ask(&flagged),
        Nt::STATUS_INVALID_PARAMETER,
        "a reserved flag",
    )
    .await?;
    for id in [0, u64::MAX, session.get() ^ 1] {
        let request = SessionRequest { head, session: id };
        let what = format!("session {id:#x}");
        let due = if id == 0 {
            Nt::STATUS_INVALID_PARAMETER
        } else {
            Nt::STATUS_NOT_FOUND
        };
        refused(ask(&request), due, &what).await?;
    }
    // Ids are valid on their own handle only.
    let elsewhere = site.handle()?;
    let reply = elsewhere.driver.query_session(session).await;
    is_refused(reply, Nt::STATUS_NOT_FOUND, "another handle's session")?;
    let reply = handle.driver.connect(Start::Continue(session), b"x").await;
    is_refused(
        reply,
        Nt::STATUS_INVALID_PARAMETER,
        "a server's session as a client",
    )?;
    too_little_room(site, &handle, session).await?;

    let (half, _peer) =
        memory::begin(&handle.driver, NewSession::of(credential), &site.pki).await?;
    let reply = handle.driver.seal(half, b"data").await;
    is_refused(
        reply,
        Nt::STATUS_INVALID_DEVICE_STATE,
        "SEAL before the end of the handshake",
    )?;
    handle.driver.close(half).await?;
    let reply = handle.driver.close(half).await;
    is_refused(reply, Nt::STATUS_NOT_FOUND, "a session that was closed")?;

    // None of it has harmed the session.
    memory::talk(&handle.driver, session, &mut peer).await?;
    handle.driver.close(session).await?;
    handle.release(credential).await?;
    let reply = handle.driver.release(credential).await;
    is_refused(
        reply,
        Nt::STATUS_NOT_FOUND,
        "a credential that was released",
    )?;
    Ok(String::new())
}

/// Replies that could be lost to a small buffer are refused before anything is done.
async fn too_little_room(
    site: &Site,
    handle: &crate::selftest::site::Handle,
    session: SessionId,
) -> Result<()> {
    let due = NtStatus::STATUS_BUFFER_TOO_SMALL;
    let hello = memory::hello(&site.pki)?;
    let leg = AcceptRequest {
        head: RequestHead::default(),
        session: session.get(),
        credential: 0,
        alpn_length: 0,
        input_length: number(hello.len()),
        timeout_ms: 0,
        reserved: 0,
    };
    let leg = [leg.as_bytes(), &hello].concat();
    let reply = handle.issue(Ioctl::Accept.code(), &leg, limits::LARGEST_REPLY - 1);
    refused(reply, due, "little room for a token").await?;
    let record = RecordRequest {
        head: RequestHead::default(),
        session: session.get(),
        length: 4,
        offset: 0,
        reserved: [0; 2],
    };
    let record = [record.as_bytes(), b"data"].concat();
    let reply = handle.issue(Ioctl::Seal.code(), &record, size_of::<RecordReply>() + 4);
    refused(reply, due, "little room for a record").await?;
    let short = &record[..offset_of!(RecordRequest, reserved)];
    let reply = handle.issue(Ioctl::Seal.code(), short, limits::MAX_RECORD);
    refused(reply, due, "SEAL without its data").await?;
    let close = SessionRequest {
        head: RequestHead::default(),
        session: session.get(),
    };
    let room = size_of::<CloseReply>() - 1;
    let reply = handle.issue(Ioctl::CloseSession.code(), close.as_bytes(), room);
    refused(reply, due, "little room for the reply to CLOSE_SESSION").await
}

/// One leg a session at a time.
pub async fn busy(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let credential = handle.driver.acquire(&options).await?;
    let mut met = 0;
    for _ in 0..TRIES {
        let new = NewSession::of(credential);
        let (session, mut peer) = memory::begin(&handle.driver, new, &site.pki).await?;
        let bytes = peer.take()?;
        let start = Start::Continue(session);
        let first = handle.driver.accept(start, &bytes);
        let second = handle.driver.accept(start, &bytes);
        let mut legs = [first.await, second.await];
        // The driver may get them in either order.
        if is_established(&legs[1]) {
            legs.swap(0, 1);
        }
        let [done, other] = legs;
        ensure!(
            is_established(&done),
            "neither leg was done: {done:?}, {other:?}"
        );
        match other {
            Err(Error::Refused { status, .. }) if status == NtStatus::STATUS_DEVICE_BUSY => {
                met += 1;
            }
            // It came when the first one was over, with bytes that were used up.
            Ok(leg) if leg.state == state::FAILED => {}
            other => bail!("a leg beside another: {other:?}"),
        }
        handle.driver.close(session).await?;
    }
    handle.release(credential).await?;
    Ok(format!("met {met} times of {TRIES}"))
}

fn is_established(leg: &Result<Leg, Error>) -> bool {
    matches!(leg, Ok(leg) if leg.state == state::ESTABLISHED)
}
