//! From a caller's bytes to a typed request: every length and field is checked here, once.
//!
//! A METHOD_BUFFERED request shares one buffer with its reply, so a [`Request`] owns its fixed
//! fields; the bytes it borrows (stream, ALPN, record) are copied or used in place by the rim
//! before a reply is written.

use crate::{
    ABI_VERSION, CredentialId, Ioctl, NtStatus, SessionId, limits,
    payload::{
        self, AcceptRequest, AcquireReply, AcquireRequest, CertificateReference, CloseReply,
        RecordReply, RecordRequest, ReleaseReply, ReleaseRequest, RequestHead, SessionReply,
        SessionRequest, StatisticsReply, VersionReply, protocols, role, store_scope,
    },
};
use zerocopy::FromBytes;

/// A request that has been checked.
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one dispatch; no allocation"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// QUERY_VERSION.
    QueryVersion,
    /// ACQUIRE_CREDENTIAL.
    Acquire(Acquire),
    /// RELEASE_CREDENTIAL.
    Release(CredentialId),
    /// ACCEPT.
    Accept(Accept<'a>),
    /// QUERY_SESSION.
    QuerySession(SessionId),
    /// SEAL.
    Seal(Record),
    /// UNSEAL.
    Unseal(Record),
    /// SHUTDOWN.
    Shutdown(SessionId),
    /// CLOSE_SESSION.
    CloseSession(SessionId),
    /// QUERY_STATISTICS.
    QueryStatistics,
}

/// ACQUIRE_CREDENTIAL: a server credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquire {
    /// [`protocols`], never 0.
    pub protocols: u32,
    /// The certificate; its `store_name` and `store_scope` have been checked.
    pub certificate: CertificateReference,
}

/// ACCEPT: one server leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept<'a> {
    /// What the leg works on.
    pub target: Target<'a>,
    /// Bytes of TLS stream, at most [`limits::MAX_INPUT`].
    pub input: &'a [u8],
}

/// The session of a leg: one that exists, or one to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A session of this handle.
    Session(SessionId),
    /// A new session.
    New {
        /// Its credential.
        credential: CredentialId,
        /// A well-formed list of 8-bit length-prefixed names, or empty.
        alpn: &'a [u8],
    },
}

/// SEAL or UNSEAL: the payload lies behind the fixed part, in the shared buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The session.
    pub session: SessionId,
    /// Bytes of payload, at most [`limits::MAX_RECORD`].
    pub length: usize,
}

/// Why a request is refused before anything else looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The control code is none of [`Ioctl`].
    UnknownCode,
    /// The input is shorter than it says or must be.
    InputTooSmall,
    /// The input is longer than it says or may be.
    InputTooLarge,
    /// The output buffer could not hold the largest reply.
    OutputTooSmall,
    /// Another ABI version.
    Version,
    /// A field is out of its range.
    Field,
}

impl DecodeError {
    /// What the IOCTL is completed with.
    pub const fn ntstatus(self) -> NtStatus {
        match self {
            Self::UnknownCode => NtStatus::STATUS_INVALID_DEVICE_REQUEST,
            Self::InputTooSmall | Self::OutputTooSmall => NtStatus::STATUS_BUFFER_TOO_SMALL,
            Self::InputTooLarge | Self::Field => NtStatus::STATUS_INVALID_PARAMETER,
            Self::Version => NtStatus::STATUS_REVISION_MISMATCH,
        }
    }
}

impl<'a> Request<'a> {
    /// Checks a caller's request; `output_length` is the room for the reply in bytes.
    ///
    /// # Errors
    ///
    /// The first rule that the request breaks; see [`DecodeError::ntstatus`].
    pub fn decode(
        code: u32,
        input: &'a [u8],
        output_length: usize,
    ) -> Result<(Ioctl, Self), DecodeError> {
        let ioctl = Ioctl::from_code(code).ok_or(DecodeError::UnknownCode)?;
        let head = RequestHead::read_from_prefix(input)
            .map_err(|_| DecodeError::InputTooSmall)?
            .0;
        // A newer program must be able to ask this of an older driver.
        if head.version != ABI_VERSION && ioctl != Ioctl::QueryVersion {
            return Err(DecodeError::Version);
        }
        let request = match ioctl {
            Ioctl::QueryVersion => fixed::<RequestHead>(input).map(|_| Self::QueryVersion),
            Ioctl::AcquireCredential => acquire(input).map(Self::Acquire),
            Ioctl::ReleaseCredential => fixed::<ReleaseRequest>(input)
                .and_then(|request| credential(request.credential))
                .map(Self::Release),
            Ioctl::Accept => accept(input).map(Self::Accept),
            Ioctl::QuerySession => session_request(input).map(Self::QuerySession),
            Ioctl::Seal => record(input, limits::MAX_PLAINTEXT).map(Self::Seal),
            Ioctl::Unseal => record(input, limits::MAX_RECORD).map(Self::Unseal),
            Ioctl::Shutdown => session_request(input).map(Self::Shutdown),
            Ioctl::CloseSession => session_request(input).map(Self::CloseSession),
            Ioctl::QueryStatistics => fixed::<RequestHead>(input).map(|_| Self::QueryStatistics),
        }?;
        // Reserved bits are refused, so that they can be given a meaning later.
        if head.flags != 0 {
            return Err(DecodeError::Field);
        }
        if output_length < least_output(ioctl) {
            return Err(DecodeError::OutputTooSmall);
        }
        Ok((ioctl, request))
    }
}

/// The room a reply needs at least. SEAL, UNSEAL and SHUTDOWN need more, which depends on the
/// session.
const fn least_output(ioctl: Ioctl) -> usize {
    match ioctl {
        Ioctl::QueryVersion => size_of::<VersionReply>(),
        Ioctl::AcquireCredential => size_of::<AcquireReply>(),
        Ioctl::ReleaseCredential => size_of::<ReleaseReply>(),
        Ioctl::Accept => limits::LARGEST_REPLY,
        Ioctl::QuerySession => size_of::<SessionReply>(),
        Ioctl::Seal | Ioctl::Unseal | Ioctl::Shutdown => size_of::<RecordReply>(),
        Ioctl::CloseSession => size_of::<CloseReply>(),
        Ioctl::QueryStatistics => size_of::<StatisticsReply>(),
    }
}

/// A request that is exactly one structure.
fn fixed<T: FromBytes>(input: &[u8]) -> Result<T, DecodeError> {
    let (value, rest) = T::read_from_prefix(input).map_err(|_| DecodeError::InputTooSmall)?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(DecodeError::InputTooLarge)
    }
}

fn session(raw: u64) -> Result<SessionId, DecodeError> {
    SessionId::from_wire(raw).ok_or(DecodeError::Field)
}

fn credential(raw: u64) -> Result<CredentialId, DecodeError> {
    CredentialId::from_wire(raw).ok_or(DecodeError::Field)
}

fn session_request(input: &[u8]) -> Result<SessionId, DecodeError> {
    fixed::<SessionRequest>(input).and_then(|request| session(request.session))
}

fn acquire(input: &[u8]) -> Result<Acquire, DecodeError> {
    let (request, rest) =
        AcquireRequest::read_from_prefix(input).map_err(|_| DecodeError::InputTooSmall)?;
    if request.certificate_count != 1 || request.role != role::SERVER || request.reserved != 0 {
        return Err(DecodeError::Field);
    }
    let certificate: CertificateReference = fixed(rest)?;
    let name = certificate.store_name().ok_or(DecodeError::Field)?;
    let scope_is_known = matches!(
        certificate.store_scope,
        store_scope::MACHINE | store_scope::USER
    );
    if !scope_is_known || certificate.reserved != 0 || name.contains(&0) {
        return Err(DecodeError::Field);
    }
    let protocols = match request.protocols {
        0 => protocols::ALL,
        chosen if chosen & !protocols::ALL == 0 => chosen,
        _ => return Err(DecodeError::Field),
    };
    Ok(Acquire {
        protocols,
        certificate,
    })
}

fn accept(input: &[u8]) -> Result<Accept<'_>, DecodeError> {
    let (request, rest) =
        AcceptRequest::read_from_prefix(input).map_err(|_| DecodeError::InputTooSmall)?;
    let (alpn, rest) = split(rest, request.alpn_length, limits::MAX_ALPN_LIST)?;
    let (input, rest) = split(rest, request.input_length, limits::MAX_INPUT)?;
    if !rest.is_empty() {
        return Err(DecodeError::InputTooLarge);
    }
    let target = match (SessionId::from_wire(request.session), request.credential) {
        (Some(session), 0) if alpn.is_empty() => Target::Session(session),
        (None, raw) if alpn_is_well_formed(alpn) => Target::New {
            credential: credential(raw)?,
            alpn,
        },
        _ => return Err(DecodeError::Field),
    };
    Ok(Accept { target, input })
}

fn record(input: &[u8], largest: usize) -> Result<Record, DecodeError> {
    let (request, rest) =
        RecordRequest::read_from_prefix(input).map_err(|_| DecodeError::InputTooSmall)?;
    let (payload, rest) = split(rest, request.length, largest)?;
    if !rest.is_empty() {
        return Err(DecodeError::InputTooLarge);
    }
    if request.reserved != 0 {
        return Err(DecodeError::Field);
    }
    Ok(Record {
        session: session(request.session)?,
        length: payload.len(),
    })
}

/// The first `length` bytes of `bytes`, if there are so many and no more than `largest`.
fn split(bytes: &[u8], length: u32, largest: usize) -> Result<(&[u8], &[u8]), DecodeError> {
    let length = usize::try_from(length).map_err(|_| DecodeError::Field)?;
    if length > largest {
        return Err(DecodeError::Field);
    }
    bytes
        .split_at_checked(length)
        .ok_or(DecodeError::InputTooSmall)
}

/// RFC 7301: names of 1 to 255 bytes, each behind its length.
fn alpn_is_well_formed(mut list: &[u8]) -> bool {
    while let Some((&length, rest)) = list.split_first() {
        match rest.split_at_checked(usize::from(length)) {
            Some((name, next)) if !name.is_empty() => list = next,
            _ => return false,
        }
    }
    true
}

/// Where the payload of SEAL and UNSEAL begins, in request and reply alike.
pub const RECORD_OFFSET: usize = size_of::<payload::RecordRequest>();

const _: () = assert!(RECORD_OFFSET == size_of::<RecordReply>());
