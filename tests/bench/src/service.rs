//! An open handle with a credential, and one request after the other on it.

use crate::{
    Completion, Done, Gate, Handle, Site,
    wire::{self, Frame},
};
use anyhow::{Context as _, Result, ensure};
use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};
use tlsgate_protocol::payload::{AcquireReply, StatisticsReply, credential as flag, protocols};

/// How long a request may take before a scenario gives up.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// An open handle with a server's credential; dropping it closes the handle.
pub struct Service<'a> {
    /// The driver.
    pub gate: &'a dyn Gate,
    /// The handle.
    pub handle: Handle,
    /// The credential.
    pub credential: u64,
}

/// What a server is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// TLS 1.3, else TLS 1.2.
    pub tls13: bool,
    /// It gives out tickets and takes them.
    pub resumes: bool,
}

/// TLS 1.3, and every handshake a full one.
pub const FULL: Kind = Kind {
    tls13: true,
    resumes: false,
};

impl<'a> Service<'a> {
    /// Opens a handle and acquires a credential on it.
    ///
    /// # Errors
    ///
    /// The driver refuses, or there is no such certificate.
    pub fn new(gate: &'a dyn Gate, site: &Site, kind: Kind) -> Result<Self> {
        let mut service = Self {
            gate,
            handle: gate.open()?,
            credential: 0,
        };
        let versions = if kind.tls13 {
            protocols::TLS1_3
        } else {
            protocols::TLS1_2
        };
        let flags = if kind.resumes { 0 } else { flag::NO_RESUMPTION };
        let mut buffer = Vec::new();
        let frame = wire::acquire(&mut buffer, site.thumbprint(), versions, flags);
        let completion = Line::new().call(&service, frame, buffer)?;
        let (reply, _) = wire::reply::<AcquireReply>(&completion).context("ACQUIRE_CREDENTIAL")?;
        wire::secure(reply.head).context("ACQUIRE_CREDENTIAL")?;
        service.credential = reply.credential;
        Ok(service)
    }

    /// Sends a request.
    pub fn issue(&self, frame: Frame, buffer: Vec<u8>, done: Done) {
        let Frame { code, input, room } = frame;
        self.gate
            .issue(self.handle, code, input, room, buffer, done);
    }

    /// The target of a new session, with the driver's own time-out.
    #[must_use]
    pub const fn new_session(&self) -> wire::Target {
        wire::Target::New {
            credential: self.credential,
            timeout_ms: 0,
        }
    }

    /// Waits until nothing goes on in the driver: what is left of closed handles is deleted behind them.
    ///
    /// # Errors
    ///
    /// It does not come to rest.
    pub fn rest(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let now = self.statistics()?;
            if now.waiting_live + now.in_flight_live == 0 {
                return Ok(());
            }
            ensure!(begin.elapsed() < PATIENCE, "the driver does not rest");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The driver's own counters.
    ///
    /// # Errors
    ///
    /// The driver refuses.
    pub fn statistics(&self) -> Result<StatisticsReply> {
        let mut buffer = Vec::new();
        let frame = wire::statistics(&mut buffer);
        let completion = Line::new().call(self, frame, buffer)?;
        Ok(wire::reply(&completion).context("QUERY_STATISTICS")?.0)
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        self.gate.close(self.handle);
    }
}

/// Sends a request and waits for its completion; used again for the next one.
pub struct Line {
    sender: Sender<Completion>,
    receiver: Receiver<Completion>,
}

impl Line {
    /// A line.
    #[must_use]
    pub fn new() -> Self {
        let (sender, receiver) = channel();
        Self { sender, receiver }
    }

    /// One request.
    ///
    /// # Errors
    ///
    /// It does not come back.
    pub fn call(&self, service: &Service, frame: Frame, buffer: Vec<u8>) -> Result<Completion> {
        let sender = self.sender.clone();
        let done = move |completion| {
            // Nobody waits any more: the caller has given up with an error.
            let _ = sender.send(completion);
        };
        service.issue(frame, buffer, Box::new(done));
        // Most have come back by now; to wait takes a look at the clock at least.
        self.receiver
            .try_recv()
            .or_else(|_| self.receiver.recv_timeout(PATIENCE))
            .context("a request has not come back")
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}
