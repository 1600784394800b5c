//! An engine behind the queue, and who asks it, in simulated time.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "times of hours at most, none negative"
)]

use fastrand::Rng;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};
use tlsgate_core::queue::{Lane, Limits, Queue};

/// In 100 ns.
pub const MILLISECOND: u64 = 10_000;
pub const SECOND: u64 = 1_000 * MILLISECOND;

/// From when an operation has come back to when the next is inside.
const TURNAROUND: u64 = MILLISECOND / 20;

/// How often the watch looks.
const TICK: u64 = 128 * MILLISECOND;

/// Calls of a handshake of the good client's, one after the other.
const CALLS: u64 = 3;

/// How long a call takes.
#[derive(Clone, Copy, Debug)]
pub enum Service {
    Fixed(u64),
    Exponential(u64),
    /// So many of a hundred take the first time, the others the second.
    Either(u64, u64, u64),
}

/// What came of a run.
pub struct Report {
    /// Sorted, in milliseconds.
    latencies: Vec<f64>,
    /// Part of the workers' time that they worked.
    pub busy: f64,
    /// Fewest and most operations inside, from tick to tick.
    pub inside: (usize, usize),
}

#[derive(Clone, Copy)]
enum Event {
    /// The good client's next handshake.
    Offer,
    /// An issuer looks.
    Issue,
    /// A worker is done.
    Done(Operation),
    Tick,
}

#[derive(Clone, Copy)]
struct Operation {
    is_good: bool,
    since: u64,
    /// How many of its handshake follow.
    left: u64,
}

pub struct World {
    queue: Queue<Operation>,
    good: Lane,
    bad: Lane,
    now: u64,
    sequence: u64,
    due: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Option<Event>>,
    free: Vec<usize>,
    engine: VecDeque<Operation>,
    /// How many calls the engine works on at a time.
    pub workers: usize,
    working: usize,
    pub service: Service,
    /// Whoever issues a call works on it.
    pub is_inline: bool,
    /// One call in so many never comes back, and no worker has it; 0 for none.
    pub hangs: u64,
    hanging: Vec<Operation>,
    /// Between two legs of the good client, on average.
    every: u64,
    random: Rng,
    latencies: Vec<u64>,
    worked: u64,
    could: u64,
    inside: (usize, usize),
}

impl World {
    pub fn new(workers: usize, service: Service, least: usize, most: usize, seed: u64) -> Self {
        let limits = Limits {
            lanes: 2,
            registered: 2_000_000,
            registered_per_lane: 1_000_000,
            inside: most,
            inside_least: least,
            inside_per_lane: most,
            issuers: 2,
        };
        let mut queue = Queue::new(limits);
        let [good, bad] = [(); 2].map(|()| queue.open_lane().unwrap());
        let mut world = Self {
            queue,
            good,
            bad,
            now: 0,
            sequence: 0,
            due: BinaryHeap::new(),
            events: Vec::new(),
            free: Vec::new(),
            engine: VecDeque::new(),
            workers,
            working: 0,
            service,
            is_inline: false,
            hangs: 0,
            hanging: Vec::new(),
            every: 0,
            random: Rng::with_seed(seed),
            latencies: Vec::new(),
            worked: 0,
            could: 0,
            inside: (usize::MAX, 0),
        };
        world.at(TICK, Event::Tick);
        world
    }

    /// A flood: so many legs at a time, whatever comes of them.
    pub fn flood(&mut self, at_once: usize) {
        for _ in 0..at_once {
            self.submit(false, 0);
        }
        self.at(0, Event::Issue);
    }

    /// The good client begins to offer so many percent of what the engine can do now.
    pub fn offer(&mut self, percent: u64) {
        self.every = CALLS * self.service.mean() * 100 / (self.workers as u64 * percent);
        self.at(0, Event::Offer);
    }

    pub fn run(&mut self, time: u64) {
        let end = self.now + time;
        while let Some(Reverse((due, _, index))) = self.due.peek().copied() {
            if due > end {
                break;
            }
            self.due.pop();
            self.pass(due);
            let event = self.events[index].take().unwrap();
            self.free.push(index);
            self.happen(event);
        }
        self.pass(end);
    }

    /// Operations that wait, and those inside.
    pub fn load(&self) -> (usize, usize) {
        (self.queue.waiting(), self.queue.inside())
    }

    /// Operations that hang come back.
    pub fn release(&mut self) {
        self.engine.extend(self.hanging.drain(..));
        self.work();
    }

    /// What has been so far does not count.
    pub fn forget(&mut self) {
        self.latencies.clear();
        (self.worked, self.could) = (0, 0);
        self.inside = (usize::MAX, 0);
    }

    pub fn report(&self) -> Report {
        let mut latencies: Vec<f64> = self
            .latencies
            .iter()
            .map(|time| *time as f64 / MILLISECOND as f64)
            .collect();
        latencies.sort_unstable_by(f64::total_cmp);
        Report {
            latencies,
            busy: self.worked as f64 / self.could as f64,
            inside: self.inside,
        }
    }

    fn pass(&mut self, now: u64) {
        let passed = now - self.now;
        self.now = now;
        self.worked += passed * self.working as u64;
        self.could += passed * self.workers as u64;
    }

    fn at(&mut self, later: u64, event: Event) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[index] = Some(event);
        self.sequence += 1;
        self.due
            .push(Reverse((self.now + later, self.sequence, index)));
    }

    fn submit(&mut self, is_good: bool, left: u64) {
        let lane = if is_good { self.good } else { self.bad };
        let operation = Operation {
            is_good,
            since: self.now,
            left,
        };
        self.queue.register(lane).unwrap();
        assert!(self.queue.wait(lane, operation).is_ok());
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Offer => {
                self.submit(true, CALLS - 1);
                self.issue();
                let next = exponential(&mut self.random, self.every);
                self.at(next, Event::Offer);
            }
            Event::Issue => self.issue(),
            Event::Done(call) => self.done(call),
            Event::Tick => {
                if self.queue.look(self.now) {
                    self.issue();
                }
                let inside = self.queue.inside();
                self.inside = (self.inside.0.min(inside), self.inside.1.max(inside));
                self.at(TICK, Event::Tick);
            }
        }
    }

    fn issue(&mut self) {
        while !(self.is_inline && self.working + self.engine.len() >= self.workers)
            && let Some(call) = self.queue.take_next(self.now)
        {
            if self.hangs > 0 && self.random.u64(..self.hangs) == 0 {
                self.hanging.push(call);
            } else {
                self.engine.push_back(call);
            }
        }
        self.work();
    }

    fn work(&mut self) {
        while self.working < self.workers
            && let Some(call) = self.engine.pop_front()
        {
            self.working += 1;
            let time = self.service.time(&mut self.random);
            self.at(time, Event::Done(call));
        }
    }

    fn done(&mut self, operation: Operation) {
        self.working -= 1;
        self.work();
        let lane = if operation.is_good {
            self.good
        } else {
            self.bad
        };
        let _wake = self.queue.leave(lane, self.now);
        self.queue.unregister(lane);
        if operation.is_good {
            self.latencies.push(self.now - operation.since);
            if operation.left > 0 {
                self.submit(true, operation.left - 1);
            }
        } else {
            self.submit(false, 0);
        }
        self.at(TURNAROUND, Event::Issue);
    }
}

impl Service {
    fn mean(self) -> u64 {
        match self {
            Self::Fixed(time) | Self::Exponential(time) => time,
            Self::Either(percent, one, other) => (one * percent + other * (100 - percent)) / 100,
        }
    }

    fn time(self, random: &mut Rng) -> u64 {
        match self {
            Self::Fixed(time) => time,
            Self::Exponential(mean) => exponential(random, mean),
            Self::Either(percent, one, other) => {
                if random.u64(..100) < percent {
                    one
                } else {
                    other
                }
            }
        }
    }
}

impl Report {
    /// The 99th percentile of the good client's latency, in milliseconds.
    pub fn p99(&self) -> f64 {
        self.latencies[self.latencies.len() * 99 / 100]
    }
}

/// Times between events that know nothing of each other.
fn exponential(random: &mut Rng, mean: u64) -> u64 {
    (-(1.0 - random.f64()).ln() * mean as f64) as u64
}
