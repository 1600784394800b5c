//! One leg of a server: from the bytes of ACCEPT to the bytes of its reply, as `driver/src/handshake.rs`,
//! `driver/src/leg.rs`, `driver/src/pending.rs` and `driver/src/operation.rs` have it. The call completes after
//! it has returned, by its callback.

use crate::world::{NOW, Operation, Party, Pending, Session, Watched, World, units};
use std::{cell::Cell, hint::black_box, rc::Rc, sync::atomic::Ordering};
use tlsgate_core::{
    issuing::Issuing,
    leg::{Admission, CallResult, Leg, Outcome, Step, admit},
    parties::Parties,
    record::Place,
    session::Phase,
    slot::CalledBack,
    ticket::Begin,
    usage::Use,
};
use tlsgate_protocol::{
    ABI_VERSION, Ioctl, New, Request, SecurityStatus, SessionId, Target, limits,
    payload::{AcceptRequest, LegReply, ReplyHead, RequestHead},
};
use zerocopy::IntoBytes;

/// Bytes of a client's first flight: a `ClientHello` of usual length.
const FIRST_FLIGHT: usize = 517;
/// Bytes of a client's last flight in TLS 1.3: Finished under SHA-256, encrypted.
const LAST_FLIGHT: usize = 58;
/// Bytes of the server's flight, with a short chain.
const TOKEN: usize = 1_500;

/// A TLS record's type: handshake; application data, as everything encrypted is in TLS 1.3.
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// h2, http/1.1.
const ALPN: &[u8] = b"\x02h2\x08http/1.1";

/// A first leg, which makes its session.
pub struct First(Vec<u8>);

/// The other leg of a server's handshake in TLS 1.3.
pub struct Further(Vec<u8>);

impl First {
    /// The request's bytes.
    pub fn new(world: &World) -> Self {
        let input = record(HANDSHAKE, FIRST_FLIGHT);
        Self(accept(0, world.credential.get(), ALPN, &input))
    }

    /// The leg. Gives the session that it has made.
    pub fn run(&self, world: &World) -> SessionId {
        let reply = run(
            world,
            &self.0,
            &CallResult {
                status: SecurityStatus::SEC_I_CONTINUE_NEEDED,
                produced: TOKEN,
                extra: None,
                missing: None,
                alert: None,
            },
        );
        SessionId::from_wire(reply.session).expect("a session was made")
    }
}

impl Further {
    /// The request's bytes.
    pub fn new(session: SessionId) -> Self {
        let input = record(APPLICATION_DATA, LAST_FLIGHT);
        Self(accept(session.get(), 0, &[], &input))
    }

    /// The leg.
    pub fn run(&self, world: &World) {
        let reply = run(
            world,
            &self.0,
            &CallResult {
                status: SecurityStatus::SEC_E_OK,
                produced: 0,
                extra: None,
                missing: None,
                alert: None,
            },
        );
        assert_eq!(reply.state, Phase::Established.wire());
    }
}

/// Dispatch, then an issuer, with what the call gives.
fn run(world: &World, request: &[u8], result: &CallResult) -> LegReply {
    let input = dispatch(world, request);
    let reply = Cell::new(None);
    world
        .gate
        .serve(|mut operation| reply.set(Some(step(world, &mut operation, input, result))));
    reply.into_inner().expect("the leg has ended")
}

/// Dispatch: from the bytes to the queue. Gives the leg's input.
fn dispatch<'a>(world: &World, request: &'a [u8]) -> &'a [u8] {
    let code = black_box(Ioctl::Accept.code());
    let decoded = Request::decode(code, black_box(request), limits::LARGEST_REPLY);
    let Ok((_, Request::Accept(leg))) = decoded else {
        unreachable!("the request is good");
    };
    let (session, id, place) = match &leg.target {
        Target::New(new) => {
            let (session, id) = begin(world, new);
            (session, id, Place::First)
        }
        Target::Session(id) => {
            let own = world.handle.own.borrow();
            let session = own.sessions.get(id.get()).expect("it is there").clone();
            (session, *id, Place::Later)
        }
    };
    session.usage.acquire(Use::Leg).expect("it is free");
    assert_eq!(admit(leg.input, place), Admission::Call);
    let charge = leg.input.len();
    assert!(world.gate.bytes.take(charge) && world.handle.bytes.take(charge));
    submit(world, session, id, charge);
    leg.input
}

/// Makes a session. As `begin` and `make_session` in `driver/src/handshake.rs`.
fn begin(world: &World, new: &New<'_>) -> (Rc<Session>, SessionId) {
    let (gate, handle) = (&world.gate, &world.handle);
    assert!(handle.failures.borrow_mut().has(NOW));
    let wanted = new.timeout_ms.map_or(0, std::num::NonZero::get);
    let mut own = handle.own.borrow_mut();
    let credential = own.credentials.get(new.credential.get());
    assert!(credential.expect("it is there").uses.acquire());
    let _nothing_is_kept = gate.quarantine.borrow_mut().turn(NOW);
    assert!(!handle.quarantine.is_full() && gate.quarantine.borrow().may_begin());
    assert!(gate.sessions.take(1));
    // The operation that will delete it.
    register(world);
    let session = Rc::new(Session::new());
    session
        .due
        .set(NOW + units(gate.settings.handshake_timeout(wanted)));
    let id = own.add(|own| &mut own.sessions, session.clone());
    let Ok(id) = id else {
        unreachable!("there is room")
    };
    (session, SessionId::new(id))
}

/// As `Operation::new` in `driver/src/operation.rs`.
fn register(world: &World) {
    assert!(world.gate.alive.acquire());
    world
        .gate
        .queue(|queue| queue.register(world.handle.lane))
        .expect("there is room");
}

/// Pends the request and queues the operation.
fn submit(world: &World, session: Rc<Session>, id: SessionId, charge: usize) {
    let (gate, handle) = (&world.gate, &world.handle);
    assert!(!handle.orphans.is_full());
    let due = session.due(&gate.settings);
    register(world);
    assert!(gate.pending.take(1) && handle.places.take(1));
    let pending = Rc::new(Pending::default());
    let number = {
        let mut own = handle.own.borrow_mut();
        own.add(|own| &mut own.pending, pending.clone())
    };
    let Ok(number) = number else {
        unreachable!("there is room")
    };
    pending.number.store(number.get(), Ordering::Release);
    gate.watch(due, Watched::Request(pending.clone()), &pending.deadline);
    let operation = Operation {
        lane: handle.lane,
        admitted: false,
        progress: Leg::new(),
        pending,
        session,
        id,
        charge,
    };
    let queued = gate.submit(handle.lane, Box::new(operation));
    assert!(queued.is_ok());
}

/// An issuer's step, and the callback after it.
fn step(world: &World, operation: &mut Operation, input: &[u8], result: &CallResult) -> LegReply {
    let gate = &world.gate;
    operation.admitted = true;
    let party = Party {
        world,
        pending: &operation.pending,
    };
    assert_eq!(party.begin(), Begin::Issue);
    let session = &operation.session;
    let range = operation.progress.range(input.len());
    black_box((range, operation.progress.capacity()));
    let call = session.slot.arm().expect("no call is inside");
    let soon = units(gate.settings.lost_callback_ms).min(units(gate.settings.slow_ms));
    assert!(session.slot.is_current(call));
    let watched = Watched::Call(session.clone(), call, operation.pending.clone());
    gate.watch(NOW + soon, watched, &session.watch);
    // The call is made, and returns; its callback comes.
    assert!(!session.slot.returned());
    assert_eq!(session.slot.called_back(), CalledBack::GoOn);
    gate.unwatch(&session.watch);
    party.returned();
    gate.latency.record(black_box(700));
    let Step::Reply(outcome) = operation.progress.after(input, black_box(result)) else {
        unreachable!("the leg ends with this call");
    };
    deliver(world, operation, &outcome)
}

/// The end of a leg.
fn deliver(world: &World, operation: &Operation, outcome: &Outcome) -> LegReply {
    let (gate, handle) = (&world.gate, &world.handle);
    if outcome.becomes == Some(Phase::Established) {
        assert!(operation.session.state.establish());
    }
    let phase = operation.session.state.phase();
    assert!(!operation.session.usage.release(Use::Leg));
    let party = Party {
        world,
        pending: &operation.pending,
    };
    let mut reply = None;
    party.conclude(|| reply = Some(encoded(operation.id, phase, outcome)));
    gate.pending.give_back(1);
    handle.places.give_back(1);
    gate.bytes.give_back(operation.charge);
    handle.bytes.give_back(operation.charge);
    gate.forget(operation.lane, operation.admitted);
    let _others = gate.alive.release();
    reply.expect("nobody gave the request up")
}

/// As `write_reply` in `driver/src/leg.rs`, without the token.
fn encoded(id: SessionId, phase: Phase, outcome: &Outcome) -> LegReply {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let reply = LegReply {
        head: ReplyHead::new(outcome.status),
        session: id.get(),
        consumed: number(outcome.consumed),
        produced: number(outcome.produced),
        missing: number(outcome.missing),
        state: phase.wire(),
        alert_level: outcome.alert.map_or(0, |alert| alert.level),
        alert_description: outcome.alert.map_or(0, |alert| alert.description),
        reserved: 0,
    };
    black_box(reply.as_bytes());
    reply
}

/// The bytes of an ACCEPT.
fn accept(session: u64, credential: u64, alpn: &[u8], input: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("it is short");
    let request = AcceptRequest {
        head: RequestHead {
            version: ABI_VERSION,
            flags: 0,
        },
        session,
        credential,
        alpn_length: length(alpn),
        input_length: length(input),
        timeout_ms: 0,
        reserved: 0,
    };
    [request.as_bytes(), alpn, input].concat()
}

/// A record of so many bytes with its header.
fn record(kind: u8, length: usize) -> Vec<u8> {
    let body = u16::try_from(length - 5).expect("it is a record");
    let mut record = vec![kind, 3, 3];
    record.extend(body.to_be_bytes());
    record.resize(length, 0);
    record
}
