//! Handshakes through the driver: some in flight on each client's thread, nobody waits for one.

use crate::{
    Completion,
    peer::{Clients, hear, speak},
    service::{Line, PATIENCE, Service},
    wire::{self, Target},
};
use anyhow::{Context as _, Result, ensure};
use rustls::{ClientConnection, HandshakeKind};
use std::{
    mem,
    sync::mpsc::{Sender, channel},
    time::{Duration, Instant},
};
use tlsgate_protocol::payload::{CloseReply, outcome, state};

/// What has been done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Handshakes, sessions closed included.
    pub handshakes: u64,
    /// Of these: resumed ones.
    pub resumed: u64,
    /// Requests for a leg.
    pub legs: u64,
}

impl Count {
    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            handshakes: self.handshakes + other.handshakes,
            resumed: self.resumed + other.resumed,
            legs: self.legs + other.legs,
        }
    }
}

/// When to begin no more handshakes.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// Then.
    Time(Instant),
    /// After so many.
    Count(u64),
}

impl Until {
    /// Whether another handshake may begin after so many.
    #[must_use]
    pub fn goes_on(self, begun: u64) -> bool {
        match self {
            Self::Time(end) => Instant::now() < end,
            Self::Count(most) => begun < most,
        }
    }
}

/// What becomes of an established session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is closed at once.
    Close,
    /// It stays open, and goes with its handle.
    Keep,
}

/// Makes handshakes on this thread, as many in flight as there are sorts of clients: each has one at a
/// time, so that those who resume have their tickets.
///
/// # Errors
///
/// One has failed.
pub fn handshakes(service: &Service, clients: &[Clients], until: Until, end: End) -> Result<Count> {
    let (sender, completions) = channel::<Heard>();
    let mut count = Count::default();
    let mut begun = 0;
    let mut slots = Vec::new();
    for (place, clients) in clients.iter().enumerate() {
        slots.push(Slot::new(clients, place, sender.clone()));
    }
    let mut busy = 0;
    for slot in &mut slots {
        if until.goes_on(begun) {
            slot.begin(service)?;
            begun += 1;
            busy += 1;
        }
    }
    while busy > 0 {
        let heard = completions
            .recv_timeout(PATIENCE)
            .context("a request has not come back")?;
        let slot = &mut slots[heard.place];
        if slot.go_on(service, heard.completion, end, &mut count)? {
            continue;
        }
        if until.goes_on(begun) {
            slot.begin(service)?;
            begun += 1;
        } else {
            busy -= 1;
        }
    }
    Ok(count)
}

/// What comes back of a slot's request.
pub struct Heard {
    /// The slot's place among all.
    pub place: usize,
    /// How long the request has taken.
    pub time: Duration,
    /// The completion.
    pub completion: Completion,
}

/// One handshake after the other.
pub struct Slot<'a> {
    clients: &'a Clients,
    /// `None` before the first handshake: one that is made takes a ticket.
    client: Option<ClientConnection>,
    place: usize,
    sender: Sender<Heard>,
    /// What the client has said and no leg has used up yet.
    said: Vec<u8>,
    /// The system buffer, while no request has it.
    buffer: Vec<u8>,
    closing: bool,
}

impl<'a> Slot<'a> {
    /// A slot whose requests are heard of through the sender.
    #[must_use]
    pub const fn new(clients: &'a Clients, place: usize, sender: Sender<Heard>) -> Self {
        Self {
            clients,
            client: None,
            place,
            sender,
            said: Vec::new(),
            buffer: Vec::new(),
            closing: false,
        }
    }

    /// Begins a handshake.
    ///
    /// # Errors
    ///
    /// rustls has no client.
    pub fn begin(&mut self, service: &Service) -> Result<()> {
        let client = self.client.insert(self.clients.client()?);
        self.closing = false;
        self.said.clear();
        speak(client, &mut self.said)?;
        self.leg(service, service.new_session());
        Ok(())
    }

    fn leg(&mut self, service: &Service, target: Target) {
        let frame = wire::accept(&mut self.buffer, target, &self.said);
        self.issue(service, frame);
    }

    fn issue(&mut self, service: &Service, frame: wire::Frame) {
        let (sender, place) = (self.sender.clone(), self.place);
        let begin = Instant::now();
        let done = move |completion| {
            // Nobody listens any more: another slot has failed, and that is told.
            let _ = sender.send(Heard {
                place,
                time: begin.elapsed(),
                completion,
            });
        };
        service.issue(frame, mem::take(&mut self.buffer), Box::new(done));
    }

    /// Whether the request under way is a leg, and not the session's closing.
    #[must_use]
    pub const fn is_at_leg(&self) -> bool {
        !self.closing
    }

    /// Goes on after a completion. False when the handshake is over.
    ///
    /// # Errors
    ///
    /// It has failed.
    pub fn go_on(
        &mut self,
        service: &Service,
        completion: Completion,
        end: End,
        count: &mut Count,
    ) -> Result<bool> {
        if self.closing {
            closed(&completion)?;
            self.buffer = completion.buffer;
            count.handshakes += 1;
            return Ok(false);
        }
        let (reply, token) = wire::leg(&completion).context("ACCEPT")?;
        count.legs += 1;
        let client = self.client.as_mut().context("a slot without a client")?;
        hear(client, token)?;
        self.said.drain(..reply.consumed as usize);
        speak(client, &mut self.said)?;
        self.buffer = completion.buffer;
        if reply.state == state::HANDSHAKING {
            ensure!(!self.said.is_empty(), "neither side has anything to say");
            self.leg(service, Target::Session(reply.session));
            return Ok(true);
        }
        ensure!(
            reply.state == state::ESTABLISHED && !client.is_handshaking(),
            "a handshake that only one side has finished"
        );
        if client.handshake_kind() == Some(HandshakeKind::Resumed) {
            count.resumed += 1;
        }
        if end == End::Keep {
            count.handshakes += 1;
            return Ok(false);
        }
        self.closing = true;
        let frame = wire::close(&mut self.buffer, reply.session);
        self.issue(service, frame);
        Ok(true)
    }
}

/// A session that a full handshake has established on a service.
pub struct Established {
    /// Its id.
    pub session: u64,
    /// Its other end.
    pub client: ClientConnection,
}

/// One handshake, leg by leg; `timed` hears how long each request for a leg has taken.
///
/// # Errors
///
/// It fails.
pub fn establish(
    service: &Service,
    clients: &Clients,
    mut timed: impl FnMut(Duration),
) -> Result<Established> {
    let line = Line::new();
    let mut client = clients.client()?;
    let (mut target, mut said, mut buffer) = (service.new_session(), Vec::new(), Vec::new());
    speak(&mut client, &mut said)?;
    loop {
        let frame = wire::accept(&mut buffer, target, &said);
        let begin = Instant::now();
        let completion = line.call(service, frame, mem::take(&mut buffer))?;
        timed(begin.elapsed());
        let (reply, token) = wire::leg(&completion).context("ACCEPT")?;
        hear(&mut client, token)?;
        said.drain(..reply.consumed as usize);
        speak(&mut client, &mut said)?;
        if reply.state == state::ESTABLISHED {
            ensure!(!client.is_handshaking(), "the client is not done");
            return Ok(Established {
                session: reply.session,
                client,
            });
        }
        ensure!(!said.is_empty(), "neither side has anything to say");
        target = Target::Session(reply.session);
        buffer = completion.buffer;
    }
}

impl Established {
    /// A leg after the handshake: the client updates its keys, and wants the server's updated, which UNSEAL
    /// hands to ACCEPT (RFC 8446, section 4.6.3).
    ///
    /// # Errors
    ///
    /// It fails, or it is no such leg.
    pub fn update_keys(&mut self, service: &Service, line: &Line) -> Result<()> {
        let (mut record, mut buffer) = (Vec::new(), vec![0; wire::RECORDS_AT]);
        self.client.refresh_traffic_keys()?;
        speak(&mut self.client, &mut record)?;
        buffer.extend_from_slice(&record);
        let frame = wire::unseal(&mut buffer, self.session, record.len());
        let unsealed = line.call(service, frame, buffer)?;
        let (reply, _) = wire::produced(&unsealed).context("UNSEAL")?;
        ensure!(
            reply.outcome == outcome::RENEGOTIATE,
            "no post-handshake message"
        );
        let message = &unsealed.buffer[wire::RECORDS_AT..][..reply.token as usize];
        let mut buffer = Vec::new();
        let frame = wire::accept(&mut buffer, Target::Session(self.session), message);
        let completion = line.call(service, frame, buffer)?;
        let (reply, token) = wire::leg(&completion).context("ACCEPT")?;
        ensure!(
            reply.state == state::ESTABLISHED && !token.is_empty(),
            "a leg that does not update the server's keys"
        );
        hear(&mut self.client, token)
    }

    /// Closes it.
    ///
    /// # Errors
    ///
    /// The driver refuses.
    pub fn close(self, service: &Service) -> Result<()> {
        let mut buffer = Vec::new();
        let frame = wire::close(&mut buffer, self.session);
        let completion = Line::new().call(service, frame, buffer)?;
        closed(&completion)
    }
}

fn closed(completion: &Completion) -> Result<()> {
    let (reply, _) = wire::reply::<CloseReply>(completion).context("CLOSE_SESSION")?;
    wire::secure(reply.head).context("CLOSE_SESSION")
}
