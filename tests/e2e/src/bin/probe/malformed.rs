//! Requests of wrong length, version or content: each gets its documented status, nothing changes.

use crate::{
    bench::{Bench, refused},
    raw::{self, Request},
    tls,
};
use anyhow::{Result, ensure};
use std::mem::offset_of;
use tlsgate_client::protocol::{
    CredentialId, Ioctl, NtStatus, SessionId, limits,
    payload::{
        AcceptRequest, AcquireRequest, CertificateReference, RecordRequest, ReleaseRequest,
        RequestHead, SessionRequest,
    },
};

/// Where the version and the flags of every request are.
const VERSION: usize = offset_of!(RequestHead, version);
const FLAGS: usize = offset_of!(RequestHead, flags);

/// Where the certificate of ACQUIRE_CREDENTIAL is.
const CERTIFICATE: usize = size_of::<AcquireRequest>();

const INVALID: NtStatus = NtStatus::STATUS_INVALID_PARAMETER;
const TOO_SMALL: NtStatus = NtStatus::STATUS_BUFFER_TOO_SMALL;

/// Every IOCTL, each wrong in every way there is.
pub async fn all(bench: &mut Bench) -> Result<()> {
    let credential = bench.credential().await?;
    let (session, mut peer) = tls::establish(&bench.driver, credential).await?;
    let before = bench.statistics().await?;
    let good = [
        raw::query(Ioctl::QueryVersion),
        raw::query(Ioctl::QueryStatistics),
        raw::acquire(bench.thumbprint, "MY"),
        raw::release(credential),
        raw::accept_new(credential, &tls::hello()?),
        raw::accept_next(session, b"data"),
        raw::session(Ioctl::QuerySession, session),
        raw::session(Ioctl::CloseSession, session),
        raw::record(Ioctl::Seal, session, b"data"),
        raw::record(Ioctl::Unseal, session, b"data"),
    ];
    for request in &good {
        lengths(bench, request).await?;
        heads(bench, request).await?;
        rooms(bench, request).await?;
    }
    for (what, request) in fields(bench, credential, session)? {
        refused(bench.issue(&request), INVALID, what).await?;
    }
    let tokens_gone = bench.settle("a malformed request left something", |now| *now == before);
    tokens_gone.await?;
    tls::talk(&bench.driver, session, &mut peer).await?;
    bench.driver.close(session).await?;
    bench.driver.release(credential).await?;
    bench.whole_handshake().await
}

/// Every truncation, and a byte too many.
async fn lengths(bench: &Bench, good: &Request) -> Result<()> {
    for length in 0..good.input.len() {
        let input = good.input[..length].to_vec();
        let operation = bench.device.issue(good.ioctl.code(), input, good.room);
        refused(operation, TOO_SMALL, (good.ioctl, "of length", length)).await?;
    }
    let input = [&good.input[..], &[0]].concat();
    let operation = bench.device.issue(good.ioctl.code(), input, good.room);
    refused(operation, INVALID, (good.ioctl, "a byte too long")).await
}

async fn heads(bench: &Bench, good: &Request) -> Result<()> {
    for version in [0, 2, u32::MAX] {
        let request = with(good, VERSION, &version.to_le_bytes());
        let what = (good.ioctl, "version", version);
        if good.ioctl == Ioctl::QueryVersion {
            let answer = bench.issue(&request).await;
            ensure!(answer.is_ok(), "{what:?}: {answer:?}");
        } else {
            refused(
                bench.issue(&request),
                NtStatus::STATUS_REVISION_MISMATCH,
                what,
            )
            .await?;
        }
    }
    for bit in 0..32 {
        let request = with(good, FLAGS, &(1_u32 << bit).to_le_bytes());
        refused(bench.issue(&request), INVALID, (good.ioctl, "flag", bit)).await?;
    }
    Ok(())
}

/// Too little room for the reply. SEAL's and UNSEAL's need depends on the session.
async fn rooms(bench: &Bench, good: &Request) -> Result<()> {
    let mut request = good.clone();
    for room in [0, 1, 7, 8, 15, good.room.saturating_sub(1)] {
        let least = match good.ioctl {
            Ioctl::Seal | Ioctl::Unseal => size_of::<RecordRequest>(),
            _ => good.room,
        };
        if room < least {
            request.room = room;
            refused(bench.issue(&request), TOO_SMALL, (good.ioctl, "room", room)).await?;
        }
    }
    Ok(())
}

/// Fields out of their range.
fn fields(
    bench: &Bench,
    credential: CredentialId,
    session: SessionId,
) -> Result<Vec<(&'static str, Request)>> {
    let hello = tls::hello()?;
    let acquire = raw::acquire(bench.thumbprint, "MY");
    let accept_new = raw::accept_new(credential, &hello);
    let accept_next = raw::accept_next(session, b"data");
    let seal = raw::record(Ioctl::Seal, session, b"data");
    let number = |value: u32| value.to_le_bytes();
    let in_acquire = |offset, value| with(&acquire, offset, &number(value));
    let in_certificate = |offset, value| with(&acquire, CERTIFICATE + offset, &number(value));
    let session_id = offset_of!(SessionRequest, session);
    let mut wrong = vec![
        ("role 0", in_acquire(offset_of!(AcquireRequest, role), 0)),
        ("role 2", in_acquire(offset_of!(AcquireRequest, role), 2)),
        (
            "protocols 4",
            in_acquire(offset_of!(AcquireRequest, protocols), 4),
        ),
        (
            "no certificate",
            in_acquire(offset_of!(AcquireRequest, certificate_count), 0),
        ),
        (
            "two certificates",
            in_acquire(offset_of!(AcquireRequest, certificate_count), 2),
        ),
        (
            "reserved",
            in_acquire(offset_of!(AcquireRequest, reserved), 1),
        ),
        (
            "scope 0",
            in_certificate(offset_of!(CertificateReference, store_scope), 0),
        ),
        (
            "scope 3",
            in_certificate(offset_of!(CertificateReference, store_scope), 3),
        ),
        ("a name that is too long", {
            let length = u32::try_from(limits::MAX_STORE_NAME)? + 1;
            in_certificate(offset_of!(CertificateReference, store_name_length), length)
        }),
        ("a name with a zero", {
            in_certificate(offset_of!(CertificateReference, store_name_length), 3)
        }),
        ("reserved in the certificate", {
            with(
                &acquire,
                CERTIFICATE + offset_of!(CertificateReference, reserved),
                &[1, 0],
            )
        }),
        ("ACCEPT of session 0 and credential 0", {
            with(&accept_new, offset_of!(AcceptRequest, credential), &[0; 8])
        }),
        ("ACCEPT of both ids", {
            with(
                &accept_new,
                offset_of!(AcceptRequest, session),
                &session.get().to_le_bytes(),
            )
        }),
        (
            "an ALPN name of length 0",
            with(&accept_new, size_of::<AcceptRequest>(), &[0, 0, 0]),
        ),
        (
            "an ALPN name beyond the list",
            with(&accept_new, size_of::<AcceptRequest>(), &[3]),
        ),
        ("more input than there may be", {
            let length = u32::try_from(limits::MAX_INPUT)? + 1;
            with(
                &accept_next,
                offset_of!(AcceptRequest, input_length),
                &number(length),
            )
        }),
        ("a longer ALPN list than there may be", {
            let length = u32::try_from(limits::MAX_ALPN_LIST)? + 1;
            with(
                &accept_new,
                offset_of!(AcceptRequest, alpn_length),
                &number(length),
            )
        }),
        ("ALPN on a later leg", {
            let later = with(
                &accept_next,
                offset_of!(AcceptRequest, alpn_length),
                &number(4),
            );
            with(&later, offset_of!(AcceptRequest, input_length), &number(0))
        }),
        (
            "reserved in SEAL",
            with(&seal, offset_of!(RecordRequest, reserved), &number(1)),
        ),
        ("more plaintext than a record holds", {
            let length = u32::try_from(limits::MAX_PLAINTEXT)? + 1;
            with(&seal, offset_of!(RecordRequest, length), &number(length))
        }),
        ("RELEASE of credential 0", {
            with(
                &raw::release(credential),
                offset_of!(ReleaseRequest, credential),
                &[0; 8],
            )
        }),
        (
            "SEAL of session 0",
            with(&seal, offset_of!(RecordRequest, session), &[0; 8]),
        ),
    ];
    for (what, ioctl) in [
        ("QUERY_SESSION of session 0", Ioctl::QuerySession),
        ("CLOSE_SESSION of session 0", Ioctl::CloseSession),
    ] {
        wrong.push((
            what,
            with(&raw::session(ioctl, session), session_id, &[0; 8]),
        ));
    }
    Ok(wrong)
}

/// The request with other bytes at `offset`.
fn with(good: &Request, offset: usize, bytes: &[u8]) -> Request {
    let mut request = good.clone();
    request.input[offset..offset + bytes.len()].copy_from_slice(bytes);
    request
}
