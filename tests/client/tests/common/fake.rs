//! The driver's contract over rustls: decodes requests with the contract's own decoder.

use super::{
    reply::Late,
    session::{Configs, Session, is_client, leg, looks_like_tls, record_length},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};
use tlsgate::{
    Reply, Transport, Unclaimed,
    protocol::{
        CredentialId, DecodeError, Ioctl, Leg, NtStatus, Request, Role, SecurityStatus, SessionId,
        Target,
        payload::{AcquireReply, CloseReply, RecordRequest, ReleaseReply, ReplyHead, state},
    },
};
use zerocopy::{FromBytes, IntoBytes};

type Answer = Result<Vec<u8>, NtStatus>;

/// A driver in memory; clones share it.
#[derive(Clone)]
pub struct Fake(Arc<Shared>);

struct Shared {
    configs: Configs,
    state: Mutex<State>,
    cancelled: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<u64, Session>,
    /// SEALs and UNSEALs on their way, by session: a leg must find none of its own.
    in_flight: HashMap<u64, usize>,
    next: u64,
    /// Credentials that have been acquired and not released; see [`is_client`].
    credentials: Vec<u64>,
    /// That of the session that was made last.
    last_used: u64,
    /// So many UNSEALs from now on meet a post-handshake message.
    post_handshake: usize,
    /// Post-handshake legs that were made.
    post_handshake_legs: usize,
    /// The next SEAL, or SHUTDOWN, is refused.
    refuses: bool,
    /// Calls so far.
    seals: usize,
    unseals: usize,
}

impl Fake {
    pub fn new(configs: Configs) -> Self {
        Self(Arc::new(Shared {
            configs,
            state: Mutex::default(),
            cancelled: Arc::default(),
        }))
    }

    /// Sessions that exist.
    pub fn sessions(&self) -> usize {
        self.state().sessions.len()
    }

    /// Credentials that have been acquired and not released.
    pub fn credentials(&self) -> Vec<u64> {
        self.state().credentials.clone()
    }

    /// The credential of the session that was begun last.
    pub fn last_used(&self) -> u64 {
        self.state().last_used
    }

    /// Requests that were given up.
    pub fn cancelled(&self) -> usize {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Puts a post-handshake message behind the first record of each of the next `count` UNSEALs.
    pub fn insert_post_handshake(&self, count: usize) {
        self.state().post_handshake = count;
    }

    /// Post-handshake legs that were made.
    pub fn post_handshake_legs(&self) -> usize {
        self.state().post_handshake_legs
    }

    /// Has the next SEAL, or SHUTDOWN, refused as it is without memory; nothing else is changed.
    pub fn refuse_next(&self) {
        self.state().refuses = true;
    }

    /// How many SEALs and UNSEALs there were.
    pub fn record_calls(&self) -> (usize, usize) {
        let state = self.state();
        (state.seals, state.unseals)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    fn answer(&self, code: u32, input: &[u8], room: usize) -> Answer {
        let (ioctl, request) = Request::decode(code, input, room).map_err(DecodeError::ntstatus)?;
        let mut state = self.state();
        let behind = input.get(size_of::<RecordRequest>()..).unwrap_or_default();
        if matches!(request, Request::Seal(_) | Request::Shutdown(_))
            && std::mem::take(&mut state.refuses)
        {
            return Err(NtStatus::STATUS_INSUFFICIENT_RESOURCES);
        }
        let answer = match request {
            Request::Acquire(acquire) => AcquireReply {
                head: ReplyHead::new(SecurityStatus::SEC_E_OK),
                credential: acquire
                    .replaces
                    .map_or_else(|| state.acquire(acquire.role), CredentialId::get),
            }
            .as_bytes()
            .to_vec(),
            Request::Release(id) => {
                let all = state.credentials.len();
                state.credentials.retain(|it| *it != id.get());
                if state.credentials.len() == all {
                    return Err(NtStatus::STATUS_NOT_FOUND);
                }
                ReleaseReply {
                    head: ReplyHead::new(SecurityStatus::SEC_E_OK),
                    deferred: 0,
                    reserved: 0,
                }
                .as_bytes()
                .to_vec()
            }
            Request::Accept(leg) | Request::Connect(leg) => self.leg(&mut state, ioctl, &leg)?,
            Request::QuerySession(id) => state.session(id)?.query(room),
            Request::Seal(record) => {
                state.seals += 1;
                let plaintext = behind.get(record.offset..).unwrap_or_default();
                state.session(record.session)?.seal(plaintext)
            }
            Request::Unseal(record) => {
                state.unseals += 1;
                let meets = state.post_handshake > 0;
                state.post_handshake -= usize::from(meets);
                state.session(record.session)?.unseal(behind, meets)
            }
            Request::Shutdown(id) => state.session(id)?.shut_down(),
            Request::CloseSession(id) => {
                state
                    .sessions
                    .remove(&id.get())
                    .ok_or(NtStatus::STATUS_NOT_FOUND)?;
                CloseReply {
                    head: ReplyHead::new(SecurityStatus::SEC_E_OK),
                }
                .as_bytes()
                .to_vec()
            }
            Request::QueryVersion | Request::QueryStatistics => {
                return Err(NtStatus::STATUS_INVALID_DEVICE_REQUEST);
            }
        };
        assert!(answer.len() <= room, "the reply outgrew its buffer");
        Ok(answer)
    }

    fn leg(&self, state: &mut State, ioctl: Ioctl, request: &Leg<'_>) -> Answer {
        let input = request.input;
        let is_client = match &request.target {
            Target::Session(id) => state.session(*id)?.is_client(),
            Target::New(new) => {
                let id = new.credential.get();
                state.last_used = id;
                if !state.credentials.contains(&id) {
                    return Err(NtStatus::STATUS_NOT_FOUND);
                }
                is_client(id)
            }
        };
        if is_client != (ioctl == Ioctl::Connect) {
            return Err(NtStatus::STATUS_INVALID_PARAMETER);
        }
        if let Target::Session(id) = request.target
            && state
                .in_flight
                .get(&id.get())
                .is_some_and(|count| *count > 0)
        {
            return Err(NtStatus::STATUS_DEVICE_BUSY);
        }
        if let Target::Session(id) = request.target
            && let Some(answer) = state.session(id)?.due_leg(input)
        {
            state.post_handshake_legs += 1;
            return Ok(answer);
        }
        let first = matches!(request.target, Target::New(_)) && ioctl == Ioctl::Connect;
        if record_length(input).is_none() && looks_like_tls(input) && !first {
            let (id, state) = match request.target {
                Target::Session(id) => (id.get(), state::HANDSHAKING),
                Target::New(_) => (0, state::NONE),
            };
            let status = SecurityStatus::SEC_E_INCOMPLETE_MESSAGE;
            return Ok(leg(status, state, id, 0, b""));
        }
        let session = match &request.target {
            Target::Session(id) => state.session(*id)?,
            Target::New(new) => {
                state.next += 1;
                let session = Session::new(state.next, new, &self.0.configs);
                state.sessions.entry(state.next).or_insert(session)
            }
        };
        Ok(session.leg(input))
    }
}

impl State {
    fn acquire(&mut self, role: Role) -> u64 {
        let last = self.credentials.iter().copied().max().unwrap_or_default();
        let id = match role {
            Role::Client => last + last % 2 + 2,
            Role::Server => last + last % 2 + 1,
        };
        self.credentials.push(id);
        id
    }

    fn session(&mut self, id: SessionId) -> Result<&mut Session, NtStatus> {
        self.sessions
            .get_mut(&id.get())
            .ok_or(NtStatus::STATUS_NOT_FOUND)
    }
}

impl Transport for Fake {
    fn ioctl(
        &self,
        code: u32,
        input: Vec<u8>,
        output_length: usize,
        unclaimed: Option<Unclaimed>,
    ) -> Reply {
        let answer = self.answer(code, &input, output_length);
        let is_record = matches!(Ioctl::from_code(code), Some(Ioctl::Seal | Ioctl::Unseal));
        let session = RecordRequest::read_from_prefix(&input)
            .ok()
            .filter(|_| is_record)
            .map(|(request, _)| request.session);
        let count = move |fake: &Self, step: isize| {
            if let Some(session) = session {
                let count = &mut fake.state().in_flight;
                let count = count.entry(session).or_default();
                *count = count.checked_add_signed(step).unwrap();
                assert!(*count < 2, "SEAL and UNSEAL are on their way together");
            }
        };
        count(self, 1);
        let fake = self.clone();
        Box::pin(Late {
            answer: Some(answer),
            polls: 0,
            cancelled: Arc::clone(&self.0.cancelled),
            finished: move || count(&fake, -1),
            unclaimed,
        })
    }

    fn post(&self, code: u32, input: Vec<u8>, output_length: usize) {
        self.answer(code, &input, output_length)
            .expect("what is posted cannot fail");
    }
}
