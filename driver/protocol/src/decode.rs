//! From a caller's bytes to a typed request: every length and field is checked here, once.
//!
//! A METHOD_BUFFERED request shares one buffer with its reply, so a [`Request`] owns its fixed
//! fields; the bytes it borrows (stream, ALPN, record) are copied or used in place by the rim
//! before a reply is written.

use crate::{
    ABI_VERSION, CredentialId, Ioctl, NtStatus, SessionId,
    acquire::{Acquire, acquire},
    limits,
    payload::{
        self, AcceptRequest, AcquireReply, CloseReply, ConnectRequest, RecordReply, RecordRequest,
        ReleaseReply, ReleaseRequest, RequestHead, SessionReply, SessionRequest, StatisticsReply,
        VersionReply,
    },
};
use core::num::NonZeroU32;
use zerocopy::FromBytes;

/// A request that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// QUERY_VERSION.
    QueryVersion,
    /// ACQUIRE_CREDENTIAL.
    Acquire(Acquire<'a>),
    /// RELEASE_CREDENTIAL.
    Release(CredentialId),
    /// ACCEPT.
    Accept(Leg<'a>),
    /// CONNECT.
    Connect(Leg<'a>),
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

/// ACCEPT and CONNECT: one leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg<'a> {
    /// What the leg works on.
    pub target: Target<'a>,
    /// Bytes of TLS stream, at most [`limits::MAX_INPUT`]; none for a client's first leg.
    pub input: &'a [u8],
}

/// The session of a leg: one that exists, or one to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A session of this handle.
    Session(SessionId),
    /// A new session.
    New(New<'a>),
}

/// What a new session starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct New<'a> {
    /// Its credential.
    pub credential: CredentialId,
    /// The name of the server to connect to, ASCII; empty when accepting, or for none.
    pub server_name: &'a [u8],
    /// A well-formed list of 8-bit length-prefixed names, or empty.
    pub alpn: &'a [u8],
    /// Milliseconds that the handshake may take; `None` for the driver's default.
    pub timeout_ms: Option<NonZeroU32>,
}

/// SEAL or UNSEAL: the payload lies behind the fixed part, in the shared buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The session.
    pub session: SessionId,
    /// Where the payload begins behind the fixed part, at most [`limits::MAX_OVERHEAD`]; 0 for UNSEAL.
    pub offset: usize,
    /// Bytes of payload, at most [`limits::MAX_RECORDS`].
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
            Ioctl::Connect => connect(input).map(Self::Connect),
            Ioctl::QuerySession => session_request(input).map(Self::QuerySession),
            Ioctl::Seal => record(input, limits::MAX_OVERHEAD).map(Self::Seal),
            Ioctl::Unseal => record(input, 0).map(Self::Unseal),
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
        Ioctl::Accept | Ioctl::Connect => limits::LARGEST_REPLY,
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

fn accept(input: &[u8]) -> Result<Leg<'_>, DecodeError> {
    let (request, rest) =
        AcceptRequest::read_from_prefix(input).map_err(|_| DecodeError::InputTooSmall)?;
    let (alpn, rest) = split(rest, request.alpn_length, limits::MAX_ALPN_LIST)?;
    let (input, rest) = split(rest, request.input_length, limits::MAX_INPUT)?;
    if !rest.is_empty() {
        return Err(DecodeError::InputTooLarge);
    }
    if request.reserved != 0 {
        return Err(DecodeError::Field);
    }
    let start = Start {
        session: request.session,
        credential: request.credential,
        server_name: &[],
        alpn,
        timeout_ms: request.timeout_ms,
    };
    Ok(Leg {
        target: target(&start)?,
        input,
    })
}

fn connect(input: &[u8]) -> Result<Leg<'_>, DecodeError> {
    let (request, rest) =
        ConnectRequest::read_from_prefix(input).map_err(|_| DecodeError::InputTooSmall)?;
    let (server_name, rest) = split(rest, request.server_name_length, limits::MAX_SERVER_NAME)?;
    let (alpn, rest) = split(rest, request.alpn_length, limits::MAX_ALPN_LIST)?;
    let (input, rest) = split(rest, request.input_length, limits::MAX_INPUT)?;
    if !rest.is_empty() {
        return Err(DecodeError::InputTooLarge);
    }
    let start = Start {
        session: request.session,
        credential: request.credential,
        server_name,
        alpn,
        timeout_ms: request.timeout_ms,
    };
    let target = target(&start)?;
    // The client speaks first.
    if matches!(target, Target::New(_)) && !input.is_empty() {
        return Err(DecodeError::Field);
    }
    Ok(Leg { target, input })
}

/// What a leg's request says of its session.
struct Start<'a> {
    session: u64,
    credential: u64,
    server_name: &'a [u8],
    alpn: &'a [u8],
    timeout_ms: u32,
}

/// What only a new session has is refused with one that exists: a caller that sends it expects
/// something of it.
fn target<'a>(start: &Start<'a>) -> Result<Target<'a>, DecodeError> {
    let Some(session) = SessionId::from_wire(start.session) else {
        let name_is_good = start.server_name.is_empty() || is_name(start.server_name);
        if !name_is_good || !alpn_is_well_formed(start.alpn) {
            return Err(DecodeError::Field);
        }
        return Ok(Target::New(New {
            credential: credential(start.credential)?,
            server_name: start.server_name,
            alpn: start.alpn,
            timeout_ms: NonZeroU32::new(start.timeout_ms),
        }));
    };
    let is_new = start.credential != 0
        || start.timeout_ms != 0
        || !start.alpn.is_empty()
        || !start.server_name.is_empty();
    if is_new {
        return Err(DecodeError::Field);
    }
    Ok(Target::Session(session))
}

/// A name as it stands in a certificate and in SNI: printable ASCII, no space (RFC 6066, section 3).
pub fn is_name(name: &[u8]) -> bool {
    name.iter().all(u8::is_ascii_graphic)
}

fn record(input: &[u8], largest_offset: usize) -> Result<Record, DecodeError> {
    let (request, rest) =
        RecordRequest::read_from_prefix(input).map_err(|_| DecodeError::InputTooSmall)?;
    let (front, rest) = split(rest, request.offset, largest_offset)?;
    let (payload, rest) = split(rest, request.length, limits::MAX_RECORDS)?;
    if !rest.is_empty() {
        return Err(DecodeError::InputTooLarge);
    }
    if request.reserved != [0; 2] {
        return Err(DecodeError::Field);
    }
    Ok(Record {
        session: session(request.session)?,
        offset: front.len(),
        length: payload.len(),
    })
}

/// The first `length` bytes of `bytes`, if there are so many and no more than `largest`.
pub fn split(bytes: &[u8], length: u32, largest: usize) -> Result<(&[u8], &[u8]), DecodeError> {
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
