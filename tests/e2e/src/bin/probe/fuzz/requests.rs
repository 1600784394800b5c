//! Requests, drawn: good ones that go on with what there is, the same with some bytes changed, ids of others,
//! and bytes that mean nothing.

use super::{
    handle::{Handle, Link},
    world::World,
};
use crate::{
    raw::{self, Request},
    tls,
};
use anyhow::Result;
use fastrand::Rng;
use std::{mem::offset_of, num::NonZeroU64};
use tlsgate::protocol::{CredentialId, Ioctl, Role, SessionId, limits, payload::AcquireRequest};

/// A request that is about to be sent.
pub struct Drawn {
    pub code: u32,
    pub input: Vec<u8>,
    pub room: usize,
    /// Who is at the other end of the session that it begins.
    pub link: Link,
    /// Its bytes of stream are those that its session has received.
    pub is_true: bool,
}

/// Draws a request for a handle.
pub fn draw(world: &mut World<'_>, index: usize) -> Result<Drawn> {
    let mut drawn = if world.random.u8(..8) == 0 {
        world.tally.sent_again += 1;
        let sent = &world.sent[world.random.usize(..world.sent.len())];
        sent.again(&world.handles[index], &mut world.random)
    } else {
        let (request, link, is_true) = good(world, index)?;
        Drawn {
            code: request.ioctl.code(),
            input: request.input,
            room: request.room,
            link,
            is_true,
        }
    };
    let random = &mut world.random;
    match random.u8(..20) {
        0 | 1 => {
            spoil(&mut drawn.input, random);
            drawn.is_true = false;
        }
        2 => drawn.room = random.usize(..drawn.room + 100),
        3 => drawn.code = code(random),
        _ => {}
    }
    Ok(drawn)
}

/// One of the driver's, or one close to them, or any.
fn code(random: &mut Rng) -> u32 {
    let own = Ioctl::ALL[random.usize(..Ioctl::ALL.len())].code();
    match random.u8(..4) {
        0 => own ^ 1 << random.u8(..32),
        1 => random.u32(..),
        _ => own,
    }
}

/// Some bytes are others, gone, or new: most of them in the structure.
fn spoil(input: &mut Vec<u8>, random: &mut Rng) {
    for _ in 0..random.usize(1..5) {
        let most = input.len().min(if random.bool() { 48 } else { usize::MAX });
        let place = random.usize(..=most);
        match (input.get_mut(place), random.u8(..4)) {
            (Some(byte), 0) => *byte = random.u8(..),
            (Some(byte), 1) => *byte ^= 1 << random.u8(..8),
            (Some(byte), 2) => *byte = byte.wrapping_add(random.u8(..3)).wrapping_sub(1),
            _ => {}
        }
    }
    match random.u8(..6) {
        0 => input.truncate(random.usize(..=input.len())),
        1 => input.extend((0..random.usize(..100)).map(|_| random.u8(..))),
        _ => {}
    }
}

fn good(world: &mut World<'_>, index: usize) -> Result<(Request, Link, bool)> {
    let hello = if world.random.bool() {
        world.hellos.pop()
    } else {
        None
    };
    let random = &mut world.random;
    let handle = &mut world.handles[index];
    let (others_sessions, others_credentials) = &world.others;
    let plain = |request: Request| Ok((request, Link::Nobody, false));
    let waiting = handle.waiting_ids();
    let own = if random.bool() && !waiting.is_empty() {
        waiting
    } else {
        handle.session_ids()
    };
    let session = SessionId::from_wire(id(random, &own, &handle.gone, others_sessions));
    let credential = |random: &mut Rng, handle: &Handle, role| {
        let own = handle.credential_ids(role);
        let id = id(random, &own, &handle.gone, others_credentials);
        // 0 names nothing, and no request could be made of it.
        CredentialId::new(NonZeroU64::new(id).unwrap_or(NonZeroU64::MIN))
    };
    let server = credential(random, handle, Some(Role::Server));
    let client = credential(random, handle, Some(Role::Client));
    let any = credential(random, handle, None);
    // A handle that was opened anew has nothing to go on with.
    if handle.credential_ids(None).is_empty() && random.bool() {
        return plain(raw::acquire(world.bench.thumbprint, "MY"));
    }
    match (random.u8(..100), session) {
        (0..3, _) => plain(raw::query(Ioctl::QueryVersion)),
        (3..6, _) => plain(raw::query(Ioctl::QueryStatistics)),
        (6..9, _) => plain(replacing(
            random,
            raw::acquire(world.bench.thumbprint, "MY"),
            server,
        )),
        (9..12, _) => plain(replacing(random, raw::acquire_client(), client)),
        (12..14, _) => plain(raw::release(any)),
        (30..38, _) => plain(within(random, raw::connect_new(client))),
        (14..30, _) | (_, None) => begin_server(random, server, hello),
        (38..62, Some(session)) => {
            let (input, is_true) = handle.received(session, random, limits::MAX_INPUT);
            let is_client = handle.is_client(session);
            let request = if is_client {
                raw::connect_next(session, &input)
            } else {
                raw::accept_next(session, &input)
            };
            Ok((request, Link::Nobody, is_true))
        }
        (62..68, Some(session)) => {
            let mut request = raw::session(Ioctl::QuerySession, session);
            request.room += [0, 4096][random.usize(..2)];
            plain(request)
        }
        (68..80, Some(session)) => plain(seal(random, session)),
        (80..93, Some(session)) => {
            handle.peer_says(session, random);
            let (input, is_true) = handle.received(session, random, limits::MAX_RECORDS);
            let mut request = raw::record(Ioctl::Unseal, session, &input);
            request.room = request.input.len();
            Ok((request, Link::Nobody, is_true))
        }
        (93..95, Some(session)) => plain(raw::session(Ioctl::Shutdown, session)),
        (_, Some(session)) => plain(raw::session(Ioctl::CloseSession, session)),
    }
}

fn begin_server(
    random: &mut Rng,
    credential: CredentialId,
    hello: Option<(Vec<u8>, Link)>,
) -> Result<(Request, Link, bool)> {
    let (input, link) = if let Some(hello) = hello {
        hello
    } else {
        let mut peer = tls::Peer::new()?;
        let hello = peer.take()?;
        (hello, Link::Peer(Box::new(peer)))
    };
    let request = within(random, raw::accept_new(credential, &input));
    Ok((request, link, true))
}

/// Now and then in the place of another credential.
fn replacing(random: &mut Rng, mut request: Request, credential: CredentialId) -> Request {
    if random.u8(..4) == 0 {
        let place = offset_of!(AcquireRequest, replaces);
        request.input[place..place + 8].copy_from_slice(&credential.get().to_le_bytes());
    }
    request
}

/// Now and then with a time-out that runs out.
fn within(random: &mut Rng, request: Request) -> Request {
    match random.u8(..8) {
        0 => raw::within(request, random.u32(1..50)),
        _ => request,
    }
}

fn seal(random: &mut Rng, session: SessionId) -> Request {
    let lengths = [
        0,
        1,
        100,
        16_384,
        16_385,
        40_000,
        random.usize(..5000),
        200_000,
    ];
    let length = lengths[random.usize(..lengths.len())];
    let offsets = [0, 0, 5, 13, random.usize(..20), limits::MAX_OVERHEAD];
    let offset = offsets[random.usize(..offsets.len())];
    let mut request = raw::record_behind(Ioctl::Seal, session, offset, &vec![b'S'; length]);
    request.room = request.input.len() + (length / 16_384 + 1) * 64;
    request
}

/// An id: mostly an own one, else one that was, another handle's, or none.
fn id(random: &mut Rng, own: &[u64], gone: &[u64], others: &[u64]) -> u64 {
    let mut one = |all: &[u64]| match all.len() {
        0 => 0,
        length => all[random.usize(..length)],
    };
    let (own, gone, others) = (one(own), one(gone), one(others));
    match random.u8(..30) {
        0 | 1 => gone,
        2 | 3 => others,
        4 => own ^ 1 << random.u8(..64),
        5 if random.bool() => random.u64(..),
        _ => own,
    }
}
