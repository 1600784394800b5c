//! A round: handles, what was made on them, and the requests that are on their way.

use super::{
    ALL_CREDENTIALS, ALL_SESSIONS, Sent, Tally,
    answers::{self, Known},
    handle::{Handle, Link, Session},
    machine::{self, Weather},
    meaning::{self, Meaning},
    requests::{self, Drawn},
};
use crate::{
    bench::{Bench, INTERVAL, answer_so_far, name, within},
    raw,
};
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use std::time::{Duration, Instant};
use tlsgate::{
    device::Operation,
    protocol::{
        NtStatus, RECORD_OFFSET, Role,
        payload::{AcquireReply, RecordReply, outcome, state},
    },
};

/// Handles at a time, besides the one that looks after the round.
const HANDLES: usize = 3;
/// What is decided in a round.
const STEPS: usize = 160;
/// Requests on their way at a time.
const FLYING: usize = 24;
/// How long a request may take that has nothing to wait for, and how long any may when ksecdd works.
const PROMPT: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(30);
/// Steps that are told of a round that fails.
const TRACED: usize = 400;

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one fact, independent of the others"
)]
struct Flying {
    operation: Operation,
    meaning: Meaning,
    handle: u64,
    link: Link,
    is_true: bool,
    sent: Instant,
    cancelled: bool,
    /// When it was sent: what its ids were.
    belonged: bool,
    was_foreign: bool,
    what: String,
}

/// A round that is being played.
pub struct World<'a> {
    pub bench: &'a mut Bench,
    pub random: Rng,
    /// What other tests have sent.
    pub sent: &'a [Sent],
    pub tally: &'a mut Tally,
    weather: Weather,
    pub handles: Vec<Handle>,
    /// Session and credential ids of all handles.
    pub others: (Vec<u64>, Vec<u64>),
    /// What clients of the driver have said first, and who they are.
    pub hellos: Vec<(Vec<u8>, Link)>,
    flying: Vec<Flying>,
    trace: Vec<String>,
    next: u64,
}

impl<'a> World<'a> {
    /// Opens the handles and sets the stand-ins.
    pub async fn begin(
        bench: &'a mut Bench,
        random: Rng,
        sent: &'a [Sent],
        tally: &'a mut Tally,
    ) -> Result<Self> {
        machine::usual(bench)?;
        let weather = Weather::default();
        let mut world = Self {
            bench,
            random,
            sent,
            tally,
            weather,
            handles: Vec::new(),
            others: Default::default(),
            hellos: Vec::new(),
            flying: Vec::new(),
            trace: Vec::new(),
            next: 0,
        };
        for _ in 0..HANDLES {
            world.open().await?;
        }
        for handle in &mut world.handles {
            handle.warm(world.bench).await?;
        }
        world.weather = machine::draw(world.bench, &mut world.random)?;
        world.note(format!("{:?}", world.weather));
        Ok(world)
    }

    /// All steps, and then every answer.
    pub async fn play(&mut self) -> Result<()> {
        for _ in 0..STEPS {
            self.collect().await?;
            self.step().await?;
        }
        self.land().await?;
        let now = self.bench.statistics().await?;
        ensure!(
            now.sessions_live <= ALL_SESSIONS && now.credentials_live <= ALL_CREDENTIALS,
            "a quota: {now:?}"
        );
        Ok(())
    }

    /// Closes what is open; gives the last steps.
    pub fn end(mut self) -> Vec<String> {
        let first = self.trace.len().saturating_sub(TRACED);
        self.trace.split_off(first)
    }

    async fn open(&mut self) -> Result<()> {
        // Wine waits for no create request, and tells no program that it failed: no allocation is to fail
        // before the new handle has answered.
        self.bench
            .lab
            .kmdf(|now| now.fail_allocation_after = None)?;
        self.next += 1;
        let handle = Handle::open(self.next)?;
        within(handle.device.driver().version()).await??;
        self.handles.push(handle);
        Ok(())
    }

    async fn step(&mut self) -> Result<()> {
        if self.flying.len() >= FLYING {
            let index = self.random.usize(..FLYING);
            self.cancel(index);
            return self.breathe().await;
        }
        match self.random.u8(..100) {
            0..70 => {
                let index = self.random.usize(..self.handles.len());
                self.send(index)
            }
            70..77 => {
                if !self.flying.is_empty() {
                    let index = self.random.usize(..self.flying.len());
                    self.cancel(index);
                }
                Ok(())
            }
            77..79 => {
                let index = self.random.usize(..self.handles.len());
                self.close(index);
                self.open().await
            }
            79..82 => {
                let most = if self.random.u8(..4) == 0 {
                    31_000
                } else {
                    500
                };
                let passed = self.random.u64(..most);
                self.note(format!("{passed} ms pass"));
                self.bench.lab.advance(passed)
            }
            82..85 if self.weather.scarce => {
                let after = self.random.u64(..24);
                self.note(format!("allocation {after} fails"));
                self.bench
                    .lab
                    .kmdf(|now| now.fail_allocation_after = Some(after))
            }
            82..88 if self.weather.held || self.weather.lossy => {
                let some = self.random.usize(1..8);
                self.note(format!("{some} calls are let go"));
                self.bench.lab.release_some(Some(some)).map(drop)
            }
            _ => self.breathe().await,
        }
    }

    /// Gives the driver time to answer.
    async fn breathe(&mut self) -> Result<()> {
        tokio::time::sleep(INTERVAL).await;
        self.collect().await
    }

    fn note(&mut self, what: String) {
        self.trace.push(what);
    }

    fn send(&mut self, index: usize) -> Result<()> {
        self.others = (
            self.handles.iter().flat_map(Handle::session_ids).collect(),
            self.handles
                .iter()
                .flat_map(|handle| handle.credential_ids(None))
                .collect(),
        );
        let Drawn {
            code,
            input,
            room,
            link,
            is_true,
        } = requests::draw(self, index)?;
        let meaning = Meaning::of(code, &input, room);
        let (belonged, was_foreign) = self.standing(index, &meaning);
        let handle = &mut self.handles[index];
        handle.is_asked(&meaning);
        let what = format!(
            "handle {}: {code:#010x} {meaning:?}, room {room}",
            handle.number
        );
        let flying = Flying {
            operation: handle.device.issue(code, input, room),
            meaning,
            handle: handle.number,
            link,
            is_true,
            sent: Instant::now(),
            cancelled: false,
            belonged,
            was_foreign,
            what: what.clone(),
        };
        *self.tally.ioctls.entry(meaning::name(code)).or_default() += 1;
        self.tally.requests += 1;
        self.note(what);
        self.flying.push(flying);
        Ok(())
    }

    fn cancel(&mut self, index: usize) {
        let flying = &mut self.flying[index];
        flying.operation.canceller().cancel();
        flying.cancelled = true;
        self.tally.cancelled += 1;
        let what = format!("cancelled: {}", flying.what);
        self.note(what);
    }

    /// Closes a handle under its requests: some are cancelled first.
    fn close(&mut self, index: usize) {
        let handle = self.handles.swap_remove(index);
        self.note(format!("handle {} is closed", handle.number));
        for flying in self.flying.extract_if(.., |it| it.handle == handle.number) {
            if self.random.bool() {
                flying.operation.detach();
            }
        }
        self.tally.handles_closed += 1;
    }

    /// Whether what a request names is the handle's, and whether it cannot be.
    fn standing(&self, index: usize, meaning: &Meaning) -> (bool, bool) {
        let handle = &self.handles[index];
        let session = meaning.session().map(|id| {
            let own = handle.sessions.iter().find(|session| session.id == id);
            (own.is_some_and(|session| !session.closing), own.is_none())
        });
        let credential = meaning.credential().map(|id| {
            let own = handle.credentials.iter().find(|it| it.id == id);
            (own.is_some_and(|it| !it.closing), own.is_none())
        });
        let named = [session, credential];
        let belongs = named.iter().flatten().all(|(belongs, _)| *belongs);
        let is_none = named.iter().flatten().any(|(_, is_none)| *is_none);
        // A request that makes something may have been answered, and nobody has looked yet.
        let is_making = self.flying.iter().any(|it| {
            it.handle == handle.number
                && matches!(it.meaning, Meaning::Begin { .. } | Meaning::Acquire { .. })
        });
        (belongs, is_none && !is_making && !handle.is_loose)
    }

    /// Takes every answer that is there.
    async fn collect(&mut self) -> Result<()> {
        let mut index = 0;
        while index < self.flying.len() {
            if let Some(answer) = answer_so_far(&mut self.flying[index].operation).await {
                let flying = self.flying.swap_remove(index);
                let what = flying.what.clone();
                self.answered(flying, answer).context(what)?;
            } else {
                let flying = &self.flying[index];
                let is_late = flying.meaning.is_immediate() && flying.sent.elapsed() > PROMPT;
                ensure!(!is_late, "it does not end: {}", flying.what);
                index += 1;
            }
        }
        Ok(())
    }

    /// Lets everything go on, until every request has been answered.
    async fn land(&mut self) -> Result<()> {
        machine::usual(self.bench)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.collect().await?;
            let Some(first) = self.flying.first() else {
                return Ok(());
            };
            ensure!(
                Instant::now() < deadline,
                "{} requests do not end, such as {}",
                self.flying.len(),
                first.what
            );
            self.bench.lab.release()?;
            // A lost callback is missed after a while.
            self.bench.lab.advance(500)?;
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn answered(&mut self, flying: Flying, answer: Result<Vec<u8>, NtStatus>) -> Result<()> {
        let said = match &answer {
            Ok(_) => "STATUS_SUCCESS".to_owned(),
            Err(status) => status.name().map_or_else(|| name(*status), str::to_owned),
        };
        self.note(format!("  {said} for {}", flying.what));
        *self.tally.answers.entry(said).or_default() += 1;
        if flying.meaning.is_immediate() {
            let took = flying.sent.elapsed().as_millis();
            self.tally.longest_ms = self.tally.longest_ms.max(took);
        }
        let index = self
            .handles
            .iter()
            .position(|handle| handle.number == flying.handle)
            .context("the answer of a closed handle")?;
        let (belongs, is_foreign) = self.standing(index, &flying.meaning);
        let known = Known {
            belongs: belongs && flying.belonged,
            is_foreign: is_foreign && flying.was_foreign,
            given_up: flying.cancelled,
        };
        match answer {
            Ok(reply) => {
                answers::reply(&flying.meaning, &reply, known)
                    .with_context(|| format!("the reply {:02x?}", &reply[..reply.len().min(96)]))?;
                self.learn(index, flying, &reply)
            }
            Err(status) => {
                let handle = &mut self.handles[index];
                handle.is_loose |= matches!(
                    flying.meaning,
                    Meaning::Begin { .. } | Meaning::Acquire { .. }
                );
                answers::refusal(&flying.meaning, status, known, self.weather)
            }
        }
    }

    /// What a reply says of the handle.
    fn learn(&mut self, index: usize, flying: Flying, reply: &[u8]) -> Result<()> {
        let number = flying.handle;
        match flying.meaning {
            Meaning::Acquire { role, replaces } => {
                let reply: AcquireReply = raw::structure(reply)?;
                if reply.credential != 0 && replaces.is_none() {
                    self.handles[index].has_credential(reply.credential, role)?;
                }
            }
            Meaning::Release(id) => self.handles[index].has_lost_credential(id.get()),
            Meaning::Close(id) => self.handles[index].has_lost_session(id.get()),
            Meaning::Begin { role, .. } => {
                let leg = raw::leg(reply)?;
                if leg.session == 0 {
                    return Ok(());
                }
                let token = raw::token(reply);
                if let Link::Session(other, id) = flying.link
                    && let Some(client) = self.session(other, id)
                {
                    client.link = Link::Session(number, leg.session);
                }
                if role == Role::Client && !token.is_empty() {
                    let client = Link::Session(number, leg.session);
                    self.hellos.push((token.to_vec(), client));
                }
                self.handles[index].has_session(leg.session, role, flying.link)?;
                self.deliver(number, leg.session, token);
            }
            Meaning::Leg { session, .. } => {
                let leg = raw::leg(reply)?;
                self.tally.established += u64::from(leg.state == state::ESTABLISHED);
                self.consume(number, session.get(), flying.is_true, leg.consumed as usize);
                self.deliver(number, session.get(), raw::token(reply));
            }
            Meaning::Seal { session, .. } => {
                self.deliver(number, session.get(), &reply[RECORD_OFFSET..]);
            }
            Meaning::Unseal(session, _) => {
                let record: RecordReply = raw::structure(reply)?;
                self.consume(
                    number,
                    session.get(),
                    flying.is_true,
                    record.consumed as usize,
                );
                if record.outcome == outcome::RENEGOTIATE
                    && let Some(session) = self.session(number, session.get())
                {
                    let token = &reply[RECORD_OFFSET + record.produced as usize..];
                    session.inbox.splice(..0, token.iter().copied());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn session(&mut self, handle: u64, id: u64) -> Option<&mut Session> {
        let handle = self.handles.iter_mut().find(|it| it.number == handle)?;
        handle.sessions.iter_mut().find(|session| session.id == id)
    }

    fn consume(&mut self, handle: u64, id: u64, is_true: bool, length: usize) {
        if is_true && let Some(session) = self.session(handle, id) {
            let length = length.min(session.inbox.len());
            session.inbox.drain(..length);
        }
    }

    /// Brings what a session says to who is at the other end, and back what that says to it.
    fn deliver(&mut self, handle: u64, id: u64, bytes: &[u8]) {
        let Some(session) = self.session(handle, id) else {
            return;
        };
        match &mut session.link {
            Link::Peer(peer) => {
                // After bytes that were spoilt it hangs up, with an alert.
                let heard = peer.hear(bytes).is_ok();
                session.inbox.extend(peer.take().unwrap_or_default());
                if !heard {
                    session.link = Link::Nobody;
                }
            }
            Link::Session(other, other_id) => {
                let (other, other_id) = (*other, *other_id);
                if let Some(partner) = self.session(other, other_id) {
                    partner.inbox.extend(bytes);
                }
            }
            Link::Nobody => {}
        }
    }
}
