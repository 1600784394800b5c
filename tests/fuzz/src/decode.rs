//! The decoder, for any bytes: it takes exactly what the contract allows, and what it has understood is all
//! that was said.
//!
//! The contract is read here a second time, from the offsets of `driver/protocol/tests/abi.golden`; what was
//! decoded is written again and compared byte by byte.

use arbitrary::{Arbitrary, Unstructured};
use std::num::NonZeroU32;
use tlsgate_protocol::{
    ABI_VERSION, Acquire, CredentialId, DecodeError, Ioctl, Leg, RECORD_OFFSET, Request, Role,
    SessionId, Target, limits,
    payload::{
        AcceptRequest, AcquireRequest, ConnectRequest, RecordRequest, ReleaseRequest, RequestHead,
        SessionRequest,
    },
};
use zerocopy::{Immutable, IntoBytes};

/// A request that is nearly good.
#[derive(Arbitrary, Debug)]
struct Drawn {
    ioctl: u8,
    /// What stands behind the head.
    fields: Fields,
    /// What follows the structure.
    behind: [Part; 3],
    /// The lengths of the parts are not told truly.
    is_false: bool,
    changes: Vec<(u8, u8)>,
    room: u16,
}

#[derive(Arbitrary, Debug)]
enum Fields {
    /// For something new: no session, a credential.
    New,
    /// For a session.
    Later,
    /// 32-bit fields, in order; small ones are more likely.
    Drawn([Field; 8]),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Field {
    Zero,
    One,
    Small(u8),
    Any(u32),
}

#[derive(Arbitrary, Debug)]
enum Part {
    Nothing,
    Name(u8),
    Protocols(u8),
    Certificate(bool, u8),
    Bytes(Vec<u8>),
    /// As long as it may be, or a byte more, or less.
    Long(i8),
}

/// Runs it: the first byte says how the others are to be read.
pub fn run(bytes: &[u8]) {
    match bytes.split_first() {
        // As tests/fuzz/corpus/decode has them: code, room, request.
        Some((0, rest)) => {
            if let Some((&code, rest)) = rest.split_first_chunk()
                && let Some((&room, input)) = rest.split_first_chunk()
            {
                check(u32::from_le_bytes(code), input, u32::from_le_bytes(room));
            }
        }
        Some((_, rest)) => {
            if let Ok(drawn) = Unstructured::new(rest).arbitrary::<Drawn>() {
                let (code, input, room) = drawn.request();
                check(code, &input, room);
            }
        }
        None => {}
    }
}

/// One request: taken exactly if it is good, and understood to the last bit.
fn check(code: u32, input: &[u8], room: u32) {
    let room = room as usize;
    let decoded = Request::decode(code, input, room);
    let good = is_good(code, input, room);
    assert_eq!(decoded.is_ok(), good, "{decoded:?}");
    match decoded {
        Ok((ioctl, request)) => {
            assert_eq!(ioctl.code(), code);
            assert_eq!(again(&request, input), input, "{request:?}");
        }
        Err(error) => {
            assert!(error.ntstatus().0 < 0, "{error:?} is success");
            let is_unknown = Ioctl::from_code(code).is_none();
            assert_eq!(error == DecodeError::UnknownCode, is_unknown);
        }
    }
}

/// Whether the contract allows it.
fn is_good(code: u32, input: &[u8], room: usize) -> bool {
    let Some(ioctl) = Ioctl::from_code(code) else {
        return false;
    };
    // Length of the structure; offsets of the lengths of what follows, and the longest of each.
    let (structure, lengths): (usize, &[(usize, usize, usize)]) = match ioctl {
        Ioctl::QueryVersion | Ioctl::QueryStatistics => (8, &[]),
        Ioctl::AcquireCredential => (40, &[(28, 16, 284), (32, 253, 1)]),
        Ioctl::Accept => (40, &[(24, 1024, 1), (28, 65_536, 1)]),
        Ioctl::Connect => (40, &[(24, 253, 1), (28, 1024, 1), (32, 65_536, 1)]),
        Ioctl::Seal => (32, &[(20, 2053, 1), (16, 1 << 20, 1)]),
        Ioctl::Unseal => (32, &[(20, 0, 1), (16, 1 << 20, 1)]),
        Ioctl::ReleaseCredential | Ioctl::QuerySession | Ioctl::Shutdown | Ioctl::CloseSession => {
            (16, &[])
        }
    };
    if input.len() < structure {
        return false;
    }
    let mut parts = Vec::new();
    let mut at = structure;
    for (offset, most, unit) in lengths {
        let count = word(input, *offset) as usize;
        if count > *most || input.len() - at < count * unit {
            return false;
        }
        parts.push(&input[at..at + count * unit]);
        at += count * unit;
    }
    let head_is_good =
        (word(input, 0) == ABI_VERSION || ioctl == Ioctl::QueryVersion) && word(input, 4) == 0;
    at == input.len()
        && head_is_good
        && room >= least_room(ioctl)
        && match ioctl {
            Ioctl::QueryVersion | Ioctl::QueryStatistics => true,
            Ioctl::AcquireCredential => acquire_is_good(input, parts[0], parts[1]),
            Ioctl::Accept => word(input, 36) == 0 && leg_is_good(input, 32, parts[0], &[]),
            Ioctl::Connect => {
                let is_later = long(input, 8) != 0;
                leg_is_good(input, 36, parts[1], parts[0]) && (is_later || parts[2].is_empty())
            }
            Ioctl::Seal | Ioctl::Unseal => {
                long(input, 8) != 0 && input[24..32].iter().all(|byte| *byte == 0)
            }
            _ => long(input, 8) != 0,
        }
}

/// `driver/protocol/src/lib.rs`: the table of IOCTLs.
fn least_room(ioctl: Ioctl) -> usize {
    match ioctl {
        Ioctl::QueryVersion => 48,
        Ioctl::AcquireCredential | Ioctl::ReleaseCredential => 16,
        Ioctl::Accept | Ioctl::Connect => 32 + 32_768,
        Ioctl::QuerySession => 336,
        Ioctl::Seal | Ioctl::Unseal | Ioctl::Shutdown => 32,
        Ioctl::CloseSession => 8,
        Ioctl::QueryStatistics => 8 + 8 * 30 + 8 * 32,
    }
}

fn acquire_is_good(input: &[u8], certificates: &[u8], principal: &[u8]) -> bool {
    let [role, protocols, flags] = [16, 20, 24].map(|offset| word(input, offset));
    let role_is_good = match role {
        1 => {
            !certificates.is_empty() && principal.iter().all(u8::is_ascii_graphic) && flags & 1 == 0
        }
        2 => principal.is_empty() && flags & 0x80 == 0,
        _ => false,
    };
    let revocations = [2, 4, 8].iter().filter(|flag| flags & **flag != 0).count();
    let flags_are_good = flags <= 0xFF
        && revocations <= 1
        && (revocations == 0 || flags & 1 == 0)
        && (revocations == 1 || flags & 0x30 == 0);
    role_is_good
        && flags_are_good
        && protocols <= 3
        && certificates.chunks(284).all(|reference| {
            let units = word(reference, 24) as usize;
            [1, 2].contains(&word(reference, 20))
                && units <= 127
                && reference[282..] == [0, 0]
                && reference[28..28 + 2 * units]
                    .chunks(2)
                    .all(|unit| unit != [0, 0])
        })
}

fn leg_is_good(input: &[u8], time_out: usize, mut alpn: &[u8], name: &[u8]) -> bool {
    let (session, credential) = (long(input, 8), long(input, 16));
    if session != 0 {
        let nothing = alpn.is_empty() && name.is_empty() && word(input, time_out) == 0;
        return nothing && credential == 0;
    }
    while let [length, rest @ ..] = alpn {
        let length = usize::from(*length);
        if length == 0 || rest.len() < length {
            return false;
        }
        alpn = &rest[length..];
    }
    credential != 0 && name.iter().all(u8::is_ascii_graphic)
}

fn word(bytes: &[u8], offset: usize) -> u32 {
    let bytes = bytes[offset..offset + 4].try_into();
    u32::from_le_bytes(bytes.expect("four bytes"))
}

fn long(bytes: &[u8], offset: usize) -> u64 {
    let bytes = bytes[offset..offset + 8].try_into();
    u64::from_le_bytes(bytes.expect("eight bytes"))
}

/// The request as it must have been, but for what has two ways to be said.
fn again(request: &Request<'_>, input: &[u8]) -> Vec<u8> {
    let head = RequestHead::default();
    let session = |id: &SessionId| {
        let session = id.get();
        join(&SessionRequest { head, session }, &[])
    };
    match request {
        // Any version may ask.
        Request::QueryVersion => {
            let version = word(input, 0);
            join(&RequestHead { version, ..head }, &[])
        }
        Request::QueryStatistics => join(&head, &[]),
        Request::Acquire(acquire) => again_acquire(acquire, input),
        Request::Release(id) => {
            let credential = id.get();
            join(&ReleaseRequest { head, credential }, &[])
        }
        Request::Accept(leg) => again_accept(leg),
        Request::Connect(leg) => again_connect(leg),
        Request::QuerySession(id) | Request::Shutdown(id) | Request::CloseSession(id) => {
            session(id)
        }
        Request::Seal(record) | Request::Unseal(record) => {
            let request = RecordRequest {
                head,
                session: record.session.get(),
                length: length(record.length),
                offset: length(record.offset),
                reserved: [0; 2],
            };
            // Its bytes are used in place.
            join(&request, &[&input[RECORD_OFFSET..]])
        }
    }
}

fn again_acquire(acquire: &Acquire<'_>, input: &[u8]) -> Vec<u8> {
    let said = word(input, 20);
    // 0 stands for all.
    let protocols = if said == 0 { 0 } else { acquire.protocols };
    assert!((1..=3).contains(&acquire.protocols));
    let request = AcquireRequest {
        head: RequestHead::default(),
        replaces: acquire.replaces.map_or(0, CredentialId::get),
        role: match acquire.role {
            Role::Server => 1,
            Role::Client => 2,
        },
        protocols,
        flags: acquire.flags,
        certificate_count: length(acquire.certificates.len()),
        principal_length: length(acquire.principal.len()),
        timeout_ms: acquire.timeout_ms.map_or(0, NonZeroU32::get),
    };
    let references: Vec<_> = acquire.certificates.iter().collect();
    assert_eq!(references.len(), acquire.certificates.len());
    join(&request, &[references.as_bytes(), acquire.principal])
}

fn again_accept(leg: &Leg<'_>) -> Vec<u8> {
    let (session, credential, _, alpn, timeout_ms) = target(leg);
    let request = AcceptRequest {
        head: RequestHead::default(),
        session,
        credential,
        alpn_length: length(alpn.len()),
        input_length: length(leg.input.len()),
        timeout_ms,
        reserved: 0,
    };
    join(&request, &[alpn, leg.input])
}

fn again_connect(leg: &Leg<'_>) -> Vec<u8> {
    let (session, credential, name, alpn, timeout_ms) = target(leg);
    let request = ConnectRequest {
        head: RequestHead::default(),
        session,
        credential,
        server_name_length: length(name.len()),
        alpn_length: length(alpn.len()),
        input_length: length(leg.input.len()),
        timeout_ms,
    };
    join(&request, &[name, alpn, leg.input])
}

fn target<'a>(leg: &Leg<'a>) -> (u64, u64, &'a [u8], &'a [u8], u32) {
    match &leg.target {
        Target::Session(id) => (id.get(), 0, &[], &[], 0),
        Target::New(new) => {
            let time = new.timeout_ms.map_or(0, NonZeroU32::get);
            (0, new.credential.get(), new.server_name, new.alpn, time)
        }
    }
}

fn join(structure: &(impl IntoBytes + Immutable), parts: &[&[u8]]) -> Vec<u8> {
    [structure.as_bytes(), &parts.concat()].concat()
}

fn length(length: usize) -> u32 {
    u32::try_from(length).expect("a request is short")
}

impl Drawn {
    fn request(&self) -> (u32, Vec<u8>, u32) {
        let ioctl = Ioctl::ALL[usize::from(self.ioctl) % Ioctl::ALL.len()];
        // Where the lengths of what follows are, and which part is which.
        let (size, lengths): (usize, &[usize]) = match ioctl {
            Ioctl::AcquireCredential => (40, &[28, 32]),
            Ioctl::Accept => (40, &[24, 28]),
            Ioctl::Connect => (40, &[24, 28, 32]),
            Ioctl::Seal => (32, &[20, 16]),
            Ioctl::Unseal => (32, &[16]),
            Ioctl::QueryVersion | Ioctl::QueryStatistics => (8, &[]),
            _ => (16, &[]),
        };
        let mut input = vec![0; size];
        input[0] = 1;
        for (place, field) in input[8..].chunks_mut(4).zip(self.fields.of(ioctl)) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        for (&offset, part) in lengths.iter().zip(&self.behind) {
            let part = part.bytes(ioctl, offset);
            if !self.is_false {
                let is_certificates = ioctl == Ioctl::AcquireCredential && offset == 28;
                let unit = if is_certificates { 284 } else { 1 };
                let count = length(part.len() / unit);
                input[offset..offset + 4].copy_from_slice(&count.to_le_bytes());
            }
            input.extend(part);
        }
        for (place, byte) in &self.changes {
            if let Some(place) = input.get_mut(usize::from(*place)) {
                *place = *byte;
            }
        }
        let room = match self.room {
            // About what it must be.
            room @ ..256 => (least_room(ioctl) + usize::from(room)).saturating_sub(2),
            room => usize::from(room),
        };
        (ioctl.code(), input, length(room))
    }
}

impl Field {
    fn value(self) -> u32 {
        match self {
            Self::Zero => 0,
            Self::One => 1,
            Self::Small(value) => value.into(),
            Self::Any(value) => value,
        }
    }
}

impl Fields {
    fn of(&self, ioctl: Ioctl) -> [u32; 8] {
        match self {
            // Role, protocols and flags stand where a leg's credential does.
            Self::New if ioctl == Ioctl::AcquireCredential => [0, 0, 1, 0, 0, 0, 0, 0],
            Self::Later if ioctl == Ioctl::AcquireCredential => [0, 0, 2, 3, 1, 0, 0, 0],
            Self::New => [0, 0, 5, 0, 0, 0, 0, 0],
            Self::Later => [1, 1, 0, 0, 0, 0, 0, 0],
            Self::Drawn(fields) => fields.map(Field::value),
        }
    }
}

impl Part {
    /// Behind a request, as what its length at this offset is of.
    fn bytes(&self, ioctl: Ioctl, offset: usize) -> Vec<u8> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Name(length) => vec![b'a'; usize::from(*length)],
            Self::Protocols(count) => b"\x02h2".repeat(usize::from(count % 8)),
            Self::Certificate(machine, units) => {
                let mut reference = vec![0; 284];
                reference[20] = if *machine { 1 } else { 2 };
                reference[24] = *units;
                reference[28..282].fill(b'M');
                reference
            }
            Self::Bytes(bytes) => bytes.clone(),
            Self::Long(more) => {
                let most = |limit: usize| limit.saturating_add_signed((more % 2).into());
                match (ioctl, offset) {
                    (Ioctl::Accept, 24) | (Ioctl::Connect, 28) => {
                        protocols(most(limits::MAX_ALPN_LIST))
                    }
                    (Ioctl::Accept, _) | (Ioctl::Connect, 32) => vec![22; most(limits::MAX_INPUT)],
                    (Ioctl::Connect, _) | (Ioctl::AcquireCredential, 32) => {
                        vec![b'a'; most(limits::MAX_SERVER_NAME)]
                    }
                    (Ioctl::AcquireCredential, _) => {
                        let one = Self::Certificate(true, 2).bytes(ioctl, offset);
                        one.repeat(most(limits::MAX_CERTIFICATES))
                    }
                    (Ioctl::Seal, 20) => vec![22; most(limits::MAX_OVERHEAD)],
                    _ => vec![22; most(limits::MAX_RECORDS)],
                }
            }
        }
    }
}

/// A well-formed list of this length: names of one letter, and one of two if it is odd.
fn protocols(length: usize) -> Vec<u8> {
    let mut list = if length % 2 == 1 {
        b"\x02xx".to_vec()
    } else {
        Vec::new()
    };
    while list.len() < length {
        list.extend(b"\x01x");
    }
    list
}
