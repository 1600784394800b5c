//! SEAL and UNSEAL of one whole record, as `driver/src/record.rs` has them, without moving a byte.

use crate::world::{Session, World};
use std::{hint::black_box, rc::Rc};
use tlsgate_core::{
    records::{Span, Summary},
    sealing::{SealPlan, Sealing},
    session::Phase,
    unsealing::{Unsealed, Unsealing},
    usage::Use,
};
use tlsgate_protocol::{
    ABI_VERSION, Ioctl, Record, Request, SecurityStatus, SessionId, limits,
    payload::{RecordReply, RecordRequest, ReplyHead, RequestHead, outcome},
};
use zerocopy::IntoBytes;

/// Bytes in front of and behind the data of a record of TLS 1.3: the header, and the inner type with the tag
/// (RFC 8446, section 5.2).
const HEADER: usize = 5;
const TRAILER: usize = 17;

/// A record's worth of data, both ways.
const DATA: usize = limits::MAX_PLAINTEXT;
const RECORD: usize = HEADER + DATA + TRAILER;

/// A SEAL.
pub struct Seal(Vec<u8>);

/// An UNSEAL.
pub struct Unseal(Vec<u8>);

impl Seal {
    pub fn new(session: SessionId) -> Self {
        Self(request(session, &vec![0; DATA]))
    }

    pub fn run(&self, world: &World) {
        let Some(Request::Seal(record)) = decoded(Ioctl::Seal, &self.0) else {
            unreachable!("the request is good");
        };
        let session = established(world, &record, Use::Seal);
        let plan = SealPlan::new(record.length, HEADER, TRAILER, DATA);
        let plan = plan.and_then(|plan| plan.beginning_at(record.offset));
        let plan = plan.expect("it makes sense");
        assert!(plan.room() <= black_box(RECORD));
        for step in plan.spread() {
            black_box(step);
        }
        let mut sealing = Sealing::new(plan);
        while let Some(parts) = sealing.next() {
            black_box(sealing.sealed(SecurityStatus::SEC_E_OK, black_box(parts.room())));
        }
        assert!(!session.usage.release(Use::Seal));
        let reply = encoded(&sealing.summary());
        assert_eq!((reply.outcome, reply.consumed), (outcome::DATA, 16_384));
    }
}

impl Unseal {
    pub fn new(session: SessionId) -> Self {
        let mut bytes = vec![0; RECORD];
        let body = u16::try_from(RECORD - HEADER).expect("it is a record");
        bytes[..3].copy_from_slice(&[23, 3, 3]);
        bytes[3..HEADER].copy_from_slice(&body.to_be_bytes());
        Self(request(session, &bytes))
    }

    pub fn run(&self, world: &World) {
        let Some(Request::Unseal(record)) = decoded(Ioctl::Unseal, &self.0) else {
            unreachable!("the request is good");
        };
        let session = established(world, &record, Use::Unseal);
        let bytes = &self.0[size_of::<RecordRequest>()..];
        let mut unsealing = Unsealing::new(record.length);
        while let Some(span) = unsealing.next(bytes) {
            let data = Span {
                start: HEADER,
                length: DATA,
            };
            let unsealed = Unsealed {
                status: SecurityStatus::SEC_E_OK,
                data: Some(data),
                extra: None,
                missing: None,
            };
            black_box(unsealing.unsealed(span, black_box(&unsealed)));
        }
        assert!(!session.usage.release(Use::Unseal));
        let reply = encoded(&unsealing.summary());
        assert_eq!((reply.outcome, reply.produced), (outcome::DATA, 16_384));
    }
}

fn decoded(ioctl: Ioctl, request: &[u8]) -> Option<Request<'_>> {
    let room = size_of::<RecordRequest>() + RECORD;
    let decoded = Request::decode(black_box(ioctl.code()), black_box(request), room);
    decoded.ok().map(|(_, request)| request)
}

fn established(world: &World, record: &Record, kind: Use) -> Rc<Session> {
    let own = world.handle.own.borrow();
    let session = own.sessions.get(record.session.get());
    let session = session.expect("it is there").clone();
    assert_eq!(session.state.phase(), Phase::Established);
    session.usage.acquire(kind).expect("it is free");
    session
}

/// As `done` in `driver/src/record.rs`.
fn encoded(summary: &Summary) -> RecordReply {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let reply = RecordReply {
        head: ReplyHead::new(summary.status),
        outcome: summary.outcome,
        consumed: number(summary.consumed),
        produced: number(summary.produced),
        token: number(summary.token),
        missing: number(summary.missing),
        reserved: 0,
    };
    black_box(reply.as_bytes());
    reply
}

/// The bytes of a SEAL or an UNSEAL.
fn request(session: SessionId, payload: &[u8]) -> Vec<u8> {
    let request = RecordRequest {
        head: RequestHead {
            version: ABI_VERSION,
            flags: 0,
        },
        session: session.get(),
        length: u32::try_from(payload.len()).expect("it is short"),
        offset: 0,
        reserved: [0; 2],
    };
    [request.as_bytes(), payload].concat()
}
