//! What the driver is not: an engine whose callers wait, each on a thread of its own.

use crate::{
    latency::Latency,
    peer::{Servers, hear, speak},
};
use anyhow::{Result, bail};
use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// A model of the security subsystem: first in, first out, some at a time, each so long; the callers
/// wait for it.
pub struct Slow<'a> {
    servers: &'a Servers,
    latency: Duration,
    queue: Mutex<Queue<'a>>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue<'a> {
    jobs: VecDeque<Job<'a>>,
    over: bool,
}

struct Job<'a> {
    hello: &'a [u8],
    done: SyncSender<Result<()>>,
}

/// What callers saw within the time that counts.
pub struct Seen {
    /// Legs a second.
    pub rate: f64,
    /// How long each took.
    pub latency: Latency,
}

/// When what comes back counts.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// From then on.
    pub begin: Instant,
    /// Until then.
    pub end: Instant,
}

impl Window {
    /// A window of this length, after what warms up.
    #[must_use]
    pub fn after(warming: Duration, length: Duration) -> Self {
        let begin = Instant::now() + warming;
        Self {
            begin,
            end: begin + length,
        }
    }

    /// Whether it counts what comes now.
    #[must_use]
    pub fn counts(&self, now: Instant) -> bool {
        (self.begin..self.end).contains(&now)
    }

    /// How many a second these are.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    #[must_use]
    pub fn rate(&self, count: u64) -> f64 {
        count as f64 / (self.end - self.begin).as_secs_f64()
    }
}

/// First legs by so many threads, each of which waits for one at a time.
///
/// # Errors
///
/// A leg fails, or there are not as many threads to be had.
pub fn parked(
    servers: &Servers,
    hello: &[u8],
    (workers, latency): (usize, Duration),
    threads: usize,
    window: Window,
) -> Result<Seen> {
    let slow = Slow {
        servers,
        latency,
        queue: Mutex::default(),
        changed: Condvar::new(),
    };
    let all = Mutex::new(Latency::new()?);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| slow.work());
        }
        let started: Result<Vec<_>> = (0..threads)
            .map(|_| {
                let caller = || -> Result<()> {
                    while Instant::now() < window.end {
                        let begin = Instant::now();
                        slow.accept(hello)?;
                        let now = Instant::now();
                        if window.counts(now) {
                            all.lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .add(now - begin);
                        }
                    }
                    Ok(())
                };
                // A caller's stack need not be large; there are many.
                let thread = thread::Builder::new().stack_size(128 * 1024);
                Ok(thread.spawn_scoped(scope, caller)?)
            })
            .collect();
        let ended = started.and_then(|started| {
            started
                .into_iter()
                .map(crate::handshakes::joined)
                .collect::<Result<Vec<()>>>()
        });
        slow.end();
        ended
    })?;
    let latency = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Seen {
        rate: window.rate(latency.count()),
        latency,
    })
}

impl<'a> Slow<'a> {
    /// A synchronous accept: this thread waits.
    fn accept(&self, hello: &'a [u8]) -> Result<()> {
        let (done, wait) = sync_channel(1);
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.jobs.push_back(Job { hello, done });
        drop(queue);
        self.changed.notify_one();
        wait.recv()?
    }

    fn end(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.over = true;
        queue.jobs.clear();
        drop(queue);
        self.changed.notify_all();
    }

    fn work(&self) {
        let mut due = Instant::now();
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                // From when the one before was due, so that sleeping too long does not add up; and before the
                // work, as ksecdd's stand-in does it.
                due += self.latency;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let result = self.first_leg(job.hello);
                // Nobody waits any more once it is over.
                let _ = job.done.send(result);
                queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            } else if queue.over {
                return;
            } else {
                queue = self
                    .changed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                due = Instant::now();
            }
        }
    }

    fn first_leg(&self, hello: &[u8]) -> Result<()> {
        let mut server = self.servers.server()?;
        let mut flight = Vec::new();
        hear(&mut server, hello)?;
        speak(&mut server, &mut flight)?;
        if flight.is_empty() {
            bail!("the server says nothing");
        }
        Ok(())
    }
}
