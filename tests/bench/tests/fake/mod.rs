//! A driver that is none: rustls behind the IOCTLs, so that the scenarios can be run anywhere.

use rustls::{
    ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    version::{TLS12, TLS13},
};
use std::{
    collections::{HashMap, VecDeque},
    io::{Read as _, Write as _},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};
use tlsgate_bench::{Completion, Done, Engine, Gate, Handle, Site, Usage};
use tlsgate_protocol::{
    Acquire, Ioctl, Leg, NtStatus, Request, SecurityStatus, Target,
    payload::{
        AcquireReply, CloseReply, LegReply, RecordReply, ReplyHead, StatisticsReply,
        credential as flag, outcome, protocols, state,
    },
};
use zerocopy::{FromZeros as _, IntoBytes};

/// What a request may cost the driver, as the fake says.
const OWN: Duration = Duration::from_micros(1);
/// And of the engine.
const ENGINE: Duration = Duration::from_micros(50);

/// The fake.
pub struct Fake {
    site: Site,
    shared: Arc<Shared>,
    /// Every so many legs one fails; 0 for none.
    pub fails_each: AtomicU64,
    /// Half-open sessions cost ever more.
    pub grows: bool,
}

/// Whose it is, and what it is.
type Session = (Handle, Arc<Mutex<ServerConnection>>);

#[derive(Default)]
struct Shared {
    credentials: Mutex<HashMap<u64, Arc<ServerConfig>>>,
    sessions: Mutex<HashMap<u64, Session>>,
    next: AtomicU64,
    requests: AtomicU64,
    dear: AtomicU64,
    calls: AtomicU64,
    live: AtomicUsize,
    queue: Mutex<Queue>,
    changed: Condvar,
}

struct Queue {
    jobs: VecDeque<Box<dyn FnOnce() + Send>>,
    engine: Engine,
    threads: usize,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            jobs: VecDeque::new(),
            engine: Engine::Inline,
            threads: 0,
        }
    }
}

impl Fake {
    /// A fake for a site.
    pub fn new(site: Site) -> Self {
        Self {
            site,
            shared: Arc::default(),
            fails_each: AtomicU64::new(0),
            grows: false,
        }
    }

    fn acquire(&self, acquire: &Acquire) -> u64 {
        let versions = if acquire.protocols == protocols::TLS1_2 {
            [&TLS12]
        } else {
            [&TLS13]
        };
        let thumbprint = acquire.certificates.iter().next().unwrap().thumbprint;
        assert_eq!(thumbprint, self.site.thumbprint());
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(self.site.certificate.clone())],
                PrivatePkcs8KeyDer::from(self.site.key.clone()).into(),
            )
            .unwrap();
        if acquire.flags & flag::NO_RESUMPTION == 0 {
            config.ticketer = ring::Ticketer::new().unwrap();
        } else {
            config.send_tls13_tickets = 0;
        }
        let id = self.shared.next.fetch_add(1, SeqCst) + 1;
        let config = Arc::new(config);
        self.shared.credentials.lock().unwrap().insert(id, config);
        id
    }

    /// The session of a leg, and what works on it.
    fn leg(&self, handle: Handle, leg: &Leg) -> impl FnOnce() -> Vec<u8> + Send + use<> {
        let shared = &self.shared;
        let id = match &leg.target {
            Target::Session(id) => id.get(),
            Target::New(new) => {
                let config = shared.credentials.lock().unwrap()[&new.credential.get()].clone();
                let id = shared.next.fetch_add(1, SeqCst) + 1;
                let made = ServerConnection::new(config).unwrap();
                let made = Arc::new(Mutex::new(made));
                shared.sessions.lock().unwrap().insert(id, (handle, made));
                id
            }
        };
        let number = shared.calls.fetch_add(1, SeqCst) + 1;
        let each = self.fails_each.load(SeqCst);
        let fails = each > 0 && number.is_multiple_of(each);
        let session = shared.sessions.lock().unwrap()[&id].1.clone();
        let input = leg.input.to_vec();
        move || {
            let mut server = session.lock().unwrap();
            let mut token = Vec::new();
            if server.is_handshaking() {
                tlsgate_bench::peer::hear(&mut server, &input).unwrap();
            } else {
                // UNSEAL has heard it before; rustls answers with the next data.
                server.writer().write_all(b"x").unwrap();
            }
            tlsgate_bench::peer::speak(&mut server, &mut token).unwrap();
            let done = !server.is_handshaking();
            let status = match (fails, done) {
                (true, _) => SecurityStatus::SEC_E_INTERNAL_ERROR,
                (false, true) => SecurityStatus::SEC_E_OK,
                (false, false) => SecurityStatus::SEC_I_CONTINUE_NEEDED,
            };
            let reply = LegReply {
                head: ReplyHead::new(status),
                session: id,
                consumed: u32::try_from(input.len()).unwrap(),
                produced: u32::try_from(token.len()).unwrap(),
                missing: 0,
                state: if done {
                    state::ESTABLISHED
                } else {
                    state::HANDSHAKING
                },
                alert_level: 0,
                alert_description: 0,
                reserved: 0,
            };
            [reply.as_bytes(), &token].concat()
        }
    }

    fn records(&self, id: u64, payload: &[u8], seals: bool) -> Vec<u8> {
        let session = self.shared.sessions.lock().unwrap()[&id].1.clone();
        let mut server = session.lock().unwrap();
        let mut made = Vec::new();
        if seals {
            server.set_buffer_limit(None);
            server.writer().write_all(payload).unwrap();
            tlsgate_bench::peer::speak(&mut server, &mut made).unwrap();
        } else {
            let mut rest = payload;
            while !rest.is_empty() {
                server.read_tls(&mut rest).unwrap();
                let ready = server.process_new_packets().unwrap();
                let at = made.len();
                made.resize(at + ready.plaintext_bytes_to_read(), 0);
                server.reader().read_exact(&mut made[at..]).unwrap();
            }
        }
        let number = |length: usize| u32::try_from(length).unwrap();
        let mut reply = RecordReply {
            head: ReplyHead::new(SecurityStatus::SEC_E_OK),
            outcome: outcome::DATA,
            consumed: number(payload.len()),
            produced: number(made.len()),
            ..RecordReply::new_zeroed()
        };
        if !seals && made.is_empty() {
            (reply.outcome, reply.token) = (outcome::RENEGOTIATE, number(payload.len()));
            made = payload.to_vec();
        }
        [reply.as_bytes(), &made].concat()
    }

    fn statistics(&self) -> StatisticsReply {
        StatisticsReply {
            in_flight_live: self.shared.live.load(SeqCst) as u64,
            calls: self.shared.calls.load(SeqCst),
            ..StatisticsReply::new_zeroed()
        }
    }
}

impl Gate for Fake {
    fn open(&self) -> anyhow::Result<Handle> {
        Ok(Handle(self.shared.next.fetch_add(1, SeqCst)))
    }

    fn close(&self, handle: Handle) {
        let mut sessions = self.shared.sessions.lock().unwrap();
        sessions.retain(|_, (owner, _)| *owner != handle);
    }

    fn issue(
        &self,
        handle: Handle,
        code: u32,
        input: usize,
        room: usize,
        buffer: Vec<u8>,
        done: Done,
    ) {
        self.shared.requests.fetch_add(1, SeqCst);
        let (_, request) = Request::decode(code, &buffer[..input], room).unwrap();
        let complete = |mut buffer: Vec<u8>, reply: &[u8], done: Done| {
            assert!(reply.len() <= room, "{code:#x}");
            buffer[..reply.len()].copy_from_slice(reply);
            done(Completion {
                status: NtStatus::STATUS_SUCCESS.0,
                information: reply.len(),
                buffer,
            });
        };
        let head = ReplyHead::new(SecurityStatus::SEC_E_OK);
        let reply = match request {
            Request::Accept(leg) => {
                let work = self.leg(handle, &leg);
                let shared = Arc::clone(&self.shared);
                shared.live.fetch_add(1, SeqCst);
                if self.grows {
                    let sessions = shared.sessions.lock().unwrap().len() as u64;
                    shared.dear.fetch_add(sessions, SeqCst);
                }
                let job = Box::new(move || {
                    let reply = work();
                    shared.live.fetch_sub(1, SeqCst);
                    let mut buffer = buffer;
                    buffer[..reply.len()].copy_from_slice(&reply);
                    done(Completion {
                        status: NtStatus::STATUS_SUCCESS.0,
                        information: reply.len(),
                        buffer,
                    });
                });
                return self.shared.run(job);
            }
            Request::Acquire(acquire) => AcquireReply {
                head,
                credential: self.acquire(&acquire),
            }
            .as_bytes()
            .to_vec(),
            Request::CloseSession(id) => {
                self.shared.calls.fetch_add(1, SeqCst);
                let closed = self.shared.sessions.lock().unwrap().remove(&id.get());
                assert!(closed.is_some());
                CloseReply { head }.as_bytes().to_vec()
            }
            Request::Seal(record) | Request::Unseal(record) => {
                let at = tlsgate_bench::wire::RECORDS_AT;
                let payload = &buffer[at..at + record.length];
                let seals = code == Ioctl::Seal.code();
                self.records(record.session.get(), payload, seals)
            }
            Request::QueryStatistics => self.statistics().as_bytes().to_vec(),
            request => panic!("{request:?}"),
        };
        complete(buffer, &reply, done);
    }

    fn usage(&self) -> Usage {
        let requests = self.shared.requests.load(SeqCst);
        let sessions = self.shared.sessions.lock().unwrap().len();
        let dear = self.shared.dear.load(SeqCst);
        Usage {
            pool_bytes: sessions * 100 + self.shared.live.load(SeqCst) * 5 * 1024,
            pool_blocks: sessions,
            driver: OWN * u32::try_from(requests).unwrap() + Duration::from_nanos(10 * dear),
            engine: ENGINE * u32::try_from(requests).unwrap(),
            hops: OWN * u32::try_from(requests).unwrap(),
            hop_count: requests,
            driver_threads: 3,
            ..Usage::default()
        }
    }

    fn clock(&self, _: bool) {}

    fn engine(&self, engine: Engine) -> anyhow::Result<()> {
        let mut queue = self.shared.queue.lock().unwrap();
        queue.engine = engine;
        // What was held goes its way.
        queue.start(&self.shared);
        Ok(())
    }
}

impl Shared {
    fn run(self: &Arc<Self>, job: Box<dyn FnOnce() + Send>) {
        let mut queue = self.queue.lock().unwrap();
        if queue.engine == Engine::Inline && queue.jobs.is_empty() {
            drop(queue);
            return job();
        }
        queue.jobs.push_back(job);
        queue.start(self);
    }

    fn work(&self) {
        let mut queue = self.queue.lock().unwrap();
        let mut due = Instant::now();
        loop {
            let latency = match queue.engine {
                Engine::Held => None,
                Engine::Inline => Some(Duration::ZERO),
                Engine::Pool { latency, .. } => Some(latency),
            };
            if let Some(latency) = latency
                && let Some(job) = queue.jobs.pop_front()
            {
                drop(queue);
                due += latency;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                job();
                queue = self.queue.lock().unwrap();
            } else {
                queue = self.changed.wait(queue).unwrap();
                due = Instant::now();
            }
        }
    }
}

impl Queue {
    fn start(&mut self, shared: &Arc<Shared>) {
        if let Engine::Pool { workers, .. } = self.engine {
            while self.threads < workers {
                self.threads += 1;
                let shared = Arc::clone(shared);
                thread::spawn(move || shared.work());
            }
        } else if self.threads == 0 {
            self.threads = 1;
            let shared = Arc::clone(shared);
            thread::spawn(move || shared.work());
        }
        shared.changed.notify_all();
    }
}
