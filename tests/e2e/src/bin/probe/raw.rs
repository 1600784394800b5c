//! Requests as bytes, for those that must be cancelled or spoilt.

use anyhow::{Context, Result};
use std::mem::offset_of;
use tlsgate::{
    Thumbprint,
    protocol::{
        CredentialId, Ioctl, SessionId, limits,
        payload::{
            AcceptRequest, AcquireReply, AcquireRequest, CertificateReference, CloseReply,
            ConnectRequest, LegReply, RecordReply, RecordRequest, ReleaseReply, ReleaseRequest,
            RequestHead, SessionReply, SessionRequest, StatisticsReply, VersionReply, credential,
            role, store_scope,
        },
    },
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A request that the driver takes.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked.
    pub ioctl: Ioctl,
    /// Its bytes.
    pub input: Vec<u8>,
    /// The least room for its reply.
    pub room: usize,
}

/// QUERY_VERSION or QUERY_STATISTICS.
pub fn query(ioctl: Ioctl) -> Request {
    let room = match ioctl {
        Ioctl::QueryVersion => size_of::<VersionReply>(),
        _ => size_of::<StatisticsReply>(),
    };
    request(ioctl, &RequestHead::default(), &[], room)
}

/// ACQUIRE_CREDENTIAL from this store of the machine; "" is the personal one.
pub fn acquire(thumbprint: Thumbprint, store: &str) -> Request {
    let mut certificate = CertificateReference {
        thumbprint: thumbprint.0,
        store_scope: store_scope::MACHINE,
        store_name_length: length(store.encode_utf16().count()),
        store_name: [0; limits::MAX_STORE_NAME],
        reserved: 0,
    };
    for (place, unit) in certificate.store_name.iter_mut().zip(store.encode_utf16()) {
        *place = unit;
    }
    let head = AcquireRequest {
        head: RequestHead::default(),
        replaces: 0,
        role: role::SERVER,
        protocols: 0,
        flags: 0,
        certificate_count: 1,
        principal_length: 0,
        timeout_ms: 0,
    };
    let room = size_of::<AcquireReply>();
    request(
        Ioctl::AcquireCredential,
        &head,
        certificate.as_bytes(),
        room,
    )
}

/// What ACQUIRE_CREDENTIAL asks for beside whose side it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// How often the same certificate.
    pub certificates: u32,
    /// [`credential`].
    pub flags: u32,
    /// The one server name.
    pub principal: &'a str,
    /// What it takes the place of.
    pub replaces: Option<CredentialId>,
}

/// ACQUIRE_CREDENTIAL for this side ([`role`]), with certificates of the machine's personal store.
pub fn acquire_as(role: u32, thumbprint: Thumbprint, wish: Wish<'_>) -> Request {
    let certificate = CertificateReference {
        thumbprint: thumbprint.0,
        store_scope: store_scope::MACHINE,
        store_name_length: 0,
        store_name: [0; limits::MAX_STORE_NAME],
        reserved: 0,
    };
    let head = AcquireRequest {
        head: RequestHead::default(),
        replaces: wish.replaces.map_or(0, CredentialId::get),
        role,
        protocols: 0,
        flags: wish.flags,
        certificate_count: wish.certificates,
        principal_length: length(wish.principal.len()),
        timeout_ms: 0,
    };
    let mut behind = Vec::new();
    for _ in 0..wish.certificates {
        behind.extend(certificate.as_bytes());
    }
    behind.extend(wish.principal.as_bytes());
    let room = size_of::<AcquireReply>();
    request(Ioctl::AcquireCredential, &head, &behind, room)
}

/// ACQUIRE_CREDENTIAL for a client that shows no certificate and checks its server's itself.
pub fn acquire_client() -> Request {
    let head = AcquireRequest {
        head: RequestHead::default(),
        replaces: 0,
        role: role::CLIENT,
        protocols: 0,
        flags: credential::MANUAL_CHECK,
        certificate_count: 0,
        principal_length: 0,
        timeout_ms: 0,
    };
    request(
        Ioctl::AcquireCredential,
        &head,
        &[],
        size_of::<AcquireReply>(),
    )
}

/// The same request to be given up after so many milliseconds: ACQUIRE_CREDENTIAL, or ACCEPT or
/// CONNECT for a new session.
pub fn within(mut request: Request, milliseconds: u32) -> Request {
    let offset = match request.ioctl {
        Ioctl::AcquireCredential => offset_of!(AcquireRequest, timeout_ms),
        Ioctl::Accept => offset_of!(AcceptRequest, timeout_ms),
        _ => offset_of!(ConnectRequest, timeout_ms),
    };
    request.input[offset..offset + 4].copy_from_slice(&milliseconds.to_le_bytes());
    request
}

/// RELEASE_CREDENTIAL.
pub fn release(credential: CredentialId) -> Request {
    let head = ReleaseRequest {
        head: RequestHead::default(),
        credential: credential.get(),
    };
    request(
        Ioctl::ReleaseCredential,
        &head,
        &[],
        size_of::<ReleaseReply>(),
    )
}

/// ACCEPT for a new session, with the ALPN list `h2`.
pub fn accept_new(credential: CredentialId, input: &[u8]) -> Request {
    accept(0, credential.get(), b"\x02h2", input)
}

/// ACCEPT for a session that exists.
pub fn accept_next(session: SessionId, input: &[u8]) -> Request {
    accept(session.get(), 0, b"", input)
}

fn accept(session: u64, credential: u64, alpn: &[u8], input: &[u8]) -> Request {
    let head = AcceptRequest {
        head: RequestHead::default(),
        session,
        credential,
        alpn_length: length(alpn.len()),
        input_length: length(input.len()),
        timeout_ms: 0,
        reserved: 0,
    };
    let behind = [alpn, input].concat();
    request(Ioctl::Accept, &head, &behind, limits::LARGEST_REPLY)
}

/// CONNECT for a new session, to `localhost`, with the ALPN list `h2`.
pub fn connect_new(credential: CredentialId) -> Request {
    connect_to(credential, "localhost")
}

/// CONNECT for a new session, to the server of this name, with the ALPN list `h2`.
pub fn connect_to(credential: CredentialId, server_name: &str) -> Request {
    connect(0, credential.get(), server_name, b"\x02h2", b"")
}

/// CONNECT for a session that exists.
pub fn connect_next(session: SessionId, input: &[u8]) -> Request {
    connect(session.get(), 0, "", b"", input)
}

fn connect(session: u64, credential: u64, name: &str, alpn: &[u8], input: &[u8]) -> Request {
    let head = ConnectRequest {
        head: RequestHead::default(),
        session,
        credential,
        server_name_length: length(name.len()),
        alpn_length: length(alpn.len()),
        input_length: length(input.len()),
        timeout_ms: 0,
    };
    let behind = [name.as_bytes(), alpn, input].concat();
    request(Ioctl::Connect, &head, &behind, limits::LARGEST_REPLY)
}

/// QUERY_SESSION, SHUTDOWN or CLOSE_SESSION.
pub fn session(ioctl: Ioctl, session: SessionId) -> Request {
    let room = match ioctl {
        Ioctl::QuerySession => size_of::<SessionReply>(),
        Ioctl::Shutdown => size_of::<RecordReply>() + limits::MAX_ALERT_RECORD,
        _ => size_of::<CloseReply>(),
    };
    let head = SessionRequest {
        head: RequestHead::default(),
        session: session.get(),
    };
    request(ioctl, &head, &[], room)
}

/// SEAL or UNSEAL, with room for every record.
pub fn record(ioctl: Ioctl, session: SessionId, bytes: &[u8]) -> Request {
    record_behind(ioctl, session, 0, bytes)
}

/// The same, with so many bytes in front of them that are none of them.
pub fn record_behind(ioctl: Ioctl, session: SessionId, offset: usize, bytes: &[u8]) -> Request {
    let head = RecordRequest {
        head: RequestHead::default(),
        session: session.get(),
        length: length(bytes.len()),
        offset: length(offset),
        reserved: [0; 2],
    };
    let room = size_of::<RecordReply>() + limits::MAX_RECORD;
    request(ioctl, &head, &[&vec![0xAB; offset], bytes].concat(), room)
}

/// The same for more than a record can hold.
pub fn records(ioctl: Ioctl, session: SessionId, bytes: &[u8]) -> Request {
    let mut request = record(ioctl, session, bytes);
    request.room += 2 * bytes.len();
    request
}

/// The front of the reply to a leg.
pub fn leg(reply: &[u8]) -> Result<LegReply> {
    structure(reply)
}

/// The token behind the front of a leg's reply.
pub fn token(reply: &[u8]) -> &[u8] {
    reply.get(size_of::<LegReply>()..).unwrap_or_default()
}

/// The front of a reply.
pub fn structure<T: FromBytes>(reply: &[u8]) -> Result<T> {
    let (structure, _) = T::read_from_prefix(reply)
        .ok()
        .context("the reply is too short")?;
    Ok(structure)
}

fn request(
    ioctl: Ioctl,
    head: &(impl IntoBytes + Immutable),
    behind: &[u8],
    room: usize,
) -> Request {
    Request {
        ioctl,
        input: [head.as_bytes(), behind].concat(),
        room,
    }
}

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
