//! Requests written into system buffers, replies read out of them.

use anyhow::{Context as _, Result, ensure};
use tlsgate_protocol::{
    Ioctl, NtStatus, SecurityStatus,
    limits::{LARGEST_REPLY, MAX_OVERHEAD, MAX_PLAINTEXT, sealed_room},
    payload::{
        AcceptRequest, AcquireReply, AcquireRequest, CertificateReference, CloseReply, LegReply,
        RecordReply, RecordRequest, ReplyHead, RequestHead, SessionRequest, StatisticsReply,
        protocols, role, store_scope,
    },
};
use zerocopy::{FromBytes, FromZeros as _, Immutable, IntoBytes, KnownLayout};

/// An IOCTL that lies in a buffer.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Its code.
    pub code: u32,
    /// Bytes of input, at the buffer's front.
    pub input: usize,
    /// Bytes of room for the reply.
    pub room: usize,
}

/// The session of a leg.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// One to make, with this credential and time-out in milliseconds (0 is the driver's own).
    New {
        /// The credential.
        credential: u64,
        /// The time-out.
        timeout_ms: u32,
    },
    /// One that exists.
    Session(u64),
}

/// Where the payload of SEAL and UNSEAL begins, and their reply's.
pub const RECORDS_AT: usize = size_of::<RecordRequest>();

/// ACCEPT.
pub fn accept(buffer: &mut Vec<u8>, target: Target, input: &[u8]) -> Frame {
    let (session, credential, timeout_ms) = match target {
        Target::New {
            credential,
            timeout_ms,
        } => (0, credential, timeout_ms),
        Target::Session(session) => (session, 0, 0),
    };
    let request = AcceptRequest {
        head: RequestHead::default(),
        session,
        credential,
        alpn_length: 0,
        input_length: length(input.len()),
        timeout_ms,
        reserved: 0,
    };
    frame(
        buffer,
        Ioctl::Accept,
        &[request.as_bytes(), input],
        LARGEST_REPLY,
    )
}

/// CLOSE_SESSION.
pub fn close(buffer: &mut Vec<u8>, session: u64) -> Frame {
    let request = SessionRequest {
        head: RequestHead::default(),
        session,
    };
    let room = size_of::<CloseReply>();
    frame(buffer, Ioctl::CloseSession, &[request.as_bytes()], room)
}

/// ACQUIRE_CREDENTIAL of a server, by its certificate's thumbprint in the machine's store "MY".
pub fn acquire(buffer: &mut Vec<u8>, thumbprint: [u8; 20], protocols: u32, flags: u32) -> Frame {
    let request = AcquireRequest {
        head: RequestHead::default(),
        replaces: 0,
        role: role::SERVER,
        protocols: protocols & protocols::ALL,
        flags,
        certificate_count: 1,
        principal_length: 0,
        timeout_ms: 0,
    };
    let certificate = CertificateReference {
        thumbprint,
        store_scope: store_scope::MACHINE,
        ..CertificateReference::new_zeroed()
    };
    let room = size_of::<AcquireReply>();
    let parts = [request.as_bytes(), certificate.as_bytes()];
    frame(buffer, Ioctl::AcquireCredential, &parts, room)
}

/// QUERY_STATISTICS.
pub fn statistics(buffer: &mut Vec<u8>) -> Frame {
    let request = RequestHead::default();
    let room = size_of::<StatisticsReply>();
    frame(buffer, Ioctl::QueryStatistics, &[request.as_bytes()], room)
}

/// SEAL of as many bytes as lie behind [`RECORDS_AT`] and a record's header, which stay as they are.
pub fn seal(buffer: &mut Vec<u8>, session: u64, header: usize, payload: usize) -> Frame {
    // Room for any suite's overhead.
    let room = sealed_room(payload, 0, MAX_OVERHEAD, MAX_PLAINTEXT).unwrap_or(0);
    records(buffer, Ioctl::Seal, session, [header, payload], room)
}

/// UNSEAL of as many bytes as lie behind [`RECORDS_AT`].
pub fn unseal(buffer: &mut Vec<u8>, session: u64, payload: usize) -> Frame {
    records(buffer, Ioctl::Unseal, session, [0, payload], payload)
}

fn records(
    buffer: &mut Vec<u8>,
    ioctl: Ioctl,
    session: u64,
    [offset, payload]: [usize; 2],
    room: usize,
) -> Frame {
    let request = RecordRequest {
        head: RequestHead::default(),
        session,
        length: length(payload),
        offset: length(offset),
        reserved: [0; 2],
    };
    let (input, room) = (RECORDS_AT + offset + payload, RECORDS_AT + room);
    grow(buffer, input.max(room));
    buffer[..RECORDS_AT].copy_from_slice(request.as_bytes());
    Frame {
        code: ioctl.code(),
        input,
        room,
    }
}

fn frame(buffer: &mut Vec<u8>, ioctl: Ioctl, parts: &[&[u8]], room: usize) -> Frame {
    let input = parts.iter().map(|part| part.len()).sum();
    grow(buffer, room.max(input));
    let mut at = 0;
    for part in parts {
        buffer[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    Frame {
        code: ioctl.code(),
        input,
        room,
    }
}

/// A buffer is used again and again: it is cleared once, when it grows.
fn grow(buffer: &mut Vec<u8>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The reply's fixed part, and what follows it.
///
/// # Errors
///
/// The IOCTL was refused, or the reply is too short.
pub fn reply<T>(completion: &crate::Completion) -> Result<(T, &[u8])>
where
    T: FromBytes + KnownLayout + Immutable,
{
    let status = NtStatus(completion.status);
    ensure!(
        status.is_success(),
        "refused with {:#010x} {}",
        status.0,
        status.name().unwrap_or("")
    );
    let bytes = completion.buffer.get(..completion.information);
    let bytes = bytes.context("a reply longer than its buffer")?;
    T::read_from_prefix(bytes)
        .ok()
        .context("a reply that is too short")
}

/// A leg's reply and its token; only statuses that are no errors.
///
/// # Errors
///
/// The IOCTL was refused, or the leg has failed.
pub fn leg(completion: &crate::Completion) -> Result<(LegReply, &[u8])> {
    let (reply, rest) = reply::<LegReply>(completion)?;
    secure(reply.head)?;
    let token = rest.get(..reply.produced as usize);
    Ok((reply, token.context("a token longer than its reply")?))
}

/// A reply of SEAL or UNSEAL, and what it has produced.
///
/// # Errors
///
/// The IOCTL was refused, or the records have failed.
pub fn produced(completion: &crate::Completion) -> Result<(RecordReply, &[u8])> {
    let (reply, rest) = reply::<RecordReply>(completion)?;
    secure(reply.head)?;
    let bytes = rest.get(..reply.produced as usize);
    Ok((reply, bytes.context("more produced than there is")?))
}

/// Refuses a status of the security subsystem that is an error.
///
/// # Errors
///
/// It is.
pub fn secure(head: ReplyHead) -> Result<()> {
    let status = SecurityStatus(head.status);
    ensure!(
        !status.is_error(),
        "failed with {:#010x} {}",
        status.0,
        status.name().unwrap_or("")
    );
    Ok(())
}
