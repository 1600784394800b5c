//! Requests of wrong length, version or content: each gets its documented status, nothing changes.

use crate::{
    bench::{Bench, refused, within},
    raw::{self, Request},
    tls,
};
use anyhow::{Result, ensure};
use std::mem::offset_of;
use tlsgate::{
    CredentialOptions,
    protocol::{
        CredentialId, Ioctl, NtStatus, SessionId, limits,
        payload::{
            AcceptRequest, AcquireRequest, CertificateReference, ConnectRequest, RecordRequest,
            ReleaseRequest, RequestHead, SessionRequest, credential, role,
        },
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
    let client = within(bench.driver.acquire(&CredentialOptions::client())).await??;
    let (session, mut peer) = tls::establish(&bench.driver, credential).await?;
    let before = bench.quiet(0).await?;
    let good = [
        raw::query(Ioctl::QueryVersion),
        raw::query(Ioctl::QueryStatistics),
        raw::acquire(bench.thumbprint, "MY"),
        raw::release(credential),
        raw::accept_new(credential, &tls::hello()?),
        raw::accept_next(session, b"data"),
        raw::connect_to(client, "localhost"),
        raw::connect_next(session, b"data"),
        raw::session(Ioctl::QuerySession, session),
        raw::session(Ioctl::Shutdown, session),
        raw::session(Ioctl::CloseSession, session),
        raw::record(Ioctl::Seal, session, b"data"),
        raw::record(Ioctl::Unseal, session, b"data"),
    ];
    for request in &good {
        lengths(bench, request).await?;
        heads(bench, request).await?;
        rooms(bench, request).await?;
    }
    for (what, request) in fields(bench, credential, client, session)? {
        refused(bench.issue(&request), INVALID, what).await?;
    }
    // The tokens of refused acquisitions go a moment after the replies.
    bench
        .settle("a malformed request left something", |now| *now == before)
        .await?;
    tls::talk(&bench.driver, session, &mut peer).await?;
    bench.driver.close(session).await?;
    bench.driver.release(credential).await?;
    bench.driver.release(client).await?;
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

/// Too little room for the reply. The need of those that make or open records depends on the session.
async fn rooms(bench: &Bench, good: &Request) -> Result<()> {
    let mut request = good.clone();
    for room in [0, 1, 7, 8, 15, good.room.saturating_sub(1)] {
        let least = match good.ioctl {
            Ioctl::Seal | Ioctl::Unseal | Ioctl::Shutdown => size_of::<RecordRequest>(),
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
    client: CredentialId,
    session: SessionId,
) -> Result<Vec<(&'static str, Request)>> {
    let mut all = in_acquire(&raw::acquire(bench.thumbprint, "MY"));
    all.extend(in_accept(
        &raw::accept_new(credential, &tls::hello()?),
        &raw::accept_next(session, b"data"),
    ));
    all.extend(in_connect(
        &raw::connect_to(client, "localhost"),
        &raw::connect_next(session, b"data"),
    ));
    all.extend(on_the_wrong_side(credential, client, session)?);
    all.extend(in_the_rest(credential, session));
    Ok(all)
}

fn in_acquire(good: &Request) -> Vec<(&'static str, Request)> {
    let head = |offset, value: u32| with(good, offset, &value.to_le_bytes());
    let certificate = |offset, value| head(CERTIFICATE + offset, value);
    let role = offset_of!(AcquireRequest, role);
    let flags = offset_of!(AcquireRequest, flags);
    let count = offset_of!(AcquireRequest, certificate_count);
    let principal = offset_of!(AcquireRequest, principal_length);
    let scope = offset_of!(CertificateReference, store_scope);
    let name_length = offset_of!(CertificateReference, store_name_length);
    let reserved = CERTIFICATE + offset_of!(CertificateReference, reserved);
    let mut named = good.clone();
    named.input.push(b' ');
    vec![
        ("role 0", head(role, 0)),
        ("role 3", head(role, 3)),
        ("protocols", head(offset_of!(AcquireRequest, protocols), 4)),
        ("an unknown flag", head(flags, credential::ALL + 1)),
        (
            "two kinds of revocation check",
            head(
                flags,
                credential::REVOCATION_END | credential::REVOCATION_CHAIN,
            ),
        ),
        (
            "a server that checks its clients itself",
            head(flags, credential::MANUAL_CHECK),
        ),
        (
            "revocation where the caller checks",
            with(
                &head(flags, credential::REVOCATION_END | credential::MANUAL_CHECK),
                role,
                &role::CLIENT.to_le_bytes(),
            ),
        ),
        (
            "exceptions from no revocation check",
            head(flags, credential::IGNORE_NO_REVOCATION),
        ),
        (
            "a client that asks its clients",
            with(
                &head(flags, credential::REQUEST_CLIENT_CERTIFICATE),
                role,
                &role::CLIENT.to_le_bytes(),
            ),
        ),
        (
            "too many certificates",
            head(count, more_than(limits::MAX_CERTIFICATES)),
        ),
        (
            "too long a principal",
            head(principal, more_than(limits::MAX_SERVER_NAME)),
        ),
        (
            "a principal that is no name",
            with(&named, principal, &1_u32.to_le_bytes()),
        ),
        ("scope 0", certificate(scope, 0)),
        ("scope 3", certificate(scope, 3)),
        (
            "a name that is too long",
            certificate(name_length, more_than(limits::MAX_STORE_NAME)),
        ),
        ("a name with a zero", certificate(name_length, 3)),
        ("reserved behind it", with(good, reserved, &[1, 0])),
    ]
}

fn in_accept(first: &Request, later: &Request) -> Vec<(&'static str, Request)> {
    let number = |good, offset, value: u32| with(good, offset, &value.to_le_bytes());
    let alpn_length = offset_of!(AcceptRequest, alpn_length);
    let input_length = offset_of!(AcceptRequest, input_length);
    let alpn = size_of::<AcceptRequest>();
    vec![
        (
            "neither session nor credential",
            with(first, offset_of!(AcceptRequest, credential), &[0; 8]),
        ),
        (
            "session and credential",
            with(first, offset_of!(AcceptRequest, session), &[1; 8]),
        ),
        ("an ALPN name of no length", with(first, alpn, &[0; 3])),
        ("an ALPN name beyond the list", with(first, alpn, &[3])),
        (
            "too long an ALPN list",
            number(first, alpn_length, more_than(limits::MAX_ALPN_LIST)),
        ),
        (
            "too much input",
            number(later, input_length, more_than(limits::MAX_INPUT)),
        ),
        (
            "ALPN on a later leg",
            number(&number(later, alpn_length, 4), input_length, 0),
        ),
    ]
}

fn in_connect(first: &Request, later: &Request) -> Vec<(&'static str, Request)> {
    let number = |good, offset, value: u32| with(good, offset, &value.to_le_bytes());
    let name_length = offset_of!(ConnectRequest, server_name_length);
    let input_length = offset_of!(ConnectRequest, input_length);
    let name = size_of::<ConnectRequest>();
    let alpn = name + "localhost".len();
    let mut spoken = number(first, input_length, 1);
    spoken.input.push(0);
    vec![
        (
            "neither session nor credential",
            with(first, offset_of!(ConnectRequest, credential), &[0; 8]),
        ),
        (
            "session and credential",
            with(first, offset_of!(ConnectRequest, session), &[1; 8]),
        ),
        ("input before the server has spoken", spoken),
        ("a name with a zero", with(first, name, &[0])),
        ("a name with a space", with(first, name + 3, b" ")),
        (
            "too long a name",
            number(first, name_length, more_than(limits::MAX_SERVER_NAME)),
        ),
        ("an ALPN name beyond the list", with(first, alpn, &[3])),
        (
            "too much input",
            number(later, input_length, more_than(limits::MAX_INPUT)),
        ),
        (
            "a name on a later leg",
            number(&number(later, name_length, 4), input_length, 0),
        ),
        (
            "a time-out on a later leg",
            number(later, offset_of!(ConnectRequest, timeout_ms), 1),
        ),
    ]
}

/// What is well formed, but of the other role.
fn on_the_wrong_side(
    server: CredentialId,
    client: CredentialId,
    session: SessionId,
) -> Result<Vec<(&'static str, Request)>> {
    Ok(vec![
        (
            "ACCEPT with a client's credential",
            raw::accept_new(client, &tls::hello()?),
        ),
        (
            "CONNECT with a server's credential",
            raw::connect_to(server, "localhost"),
        ),
        (
            "CONNECT of a server's session",
            raw::connect_next(session, b"data"),
        ),
        (
            "a client that checks names without a name",
            raw::connect_to(client, ""),
        ),
    ])
}

fn in_the_rest(credential: CredentialId, session: SessionId) -> Vec<(&'static str, Request)> {
    let seal = raw::record(Ioctl::Seal, session, b"data");
    let unseal = raw::record(Ioctl::Unseal, session, b"data");
    let number = |good, offset, value: u32| with(good, offset, &value.to_le_bytes());
    let no_session = |ioctl| {
        with(
            &raw::session(ioctl, session),
            offset_of!(SessionRequest, session),
            &[0; 8],
        )
    };
    let length = offset_of!(RecordRequest, length);
    let offset = offset_of!(RecordRequest, offset);
    let reserved = offset_of!(RecordRequest, reserved);
    let id = offset_of!(RecordRequest, session);
    vec![
        ("SEAL, reserved", number(&seal, reserved, 1)),
        ("UNSEAL, reserved", number(&unseal, reserved, 1)),
        ("UNSEAL, offset", number(&unseal, offset, 1)),
        (
            "SEAL of what lies behind any header",
            number(&seal, offset, more_than(limits::MAX_OVERHEAD)),
        ),
        (
            "more plaintext than a SEAL takes",
            number(&seal, length, more_than(limits::MAX_RECORDS)),
        ),
        (
            "more than an UNSEAL takes",
            number(&unseal, length, more_than(limits::MAX_RECORDS)),
        ),
        ("SEAL of session 0", with(&seal, id, &[0; 8])),
        ("UNSEAL of session 0", with(&unseal, id, &[0; 8])),
        (
            "QUERY_SESSION of session 0",
            no_session(Ioctl::QuerySession),
        ),
        (
            "CLOSE_SESSION of session 0",
            no_session(Ioctl::CloseSession),
        ),
        (
            "RELEASE_CREDENTIAL of credential 0",
            with(
                &raw::release(credential),
                offset_of!(ReleaseRequest, credential),
                &[0; 8],
            ),
        ),
    ]
}

fn more_than(limit: usize) -> u32 {
    u32::try_from(limit).map_or(u32::MAX, |limit| limit + 1)
}

/// The request with other bytes at `offset`.
fn with(good: &Request, offset: usize, bytes: &[u8]) -> Request {
    let mut request = good.clone();
    request.input[offset..offset + bytes.len()].copy_from_slice(bytes);
    request
}
