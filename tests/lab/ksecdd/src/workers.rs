//! The threads that asynchronous calls run on, like those of the security subsystem.

use crate::{checks, latency::Sampler};
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tlsgate_lab_control::ksecdd::Latency;

/// A call to be run.
pub type Job = Box<dyn FnOnce() + Send>;

/// The threads, and what waits for them.
#[derive(Default)]
pub struct Workers {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Job>,
    held: VecDeque<Job>,
    threads: usize,
    busy: usize,
    limit: usize,
    latency: Sampler,
}

impl Workers {
    /// So many calls run at once from now on, each after a time of this distribution.
    pub fn set(&self, limit: usize, latency: Latency) {
        let mut queue = self.shared.lock();
        queue.limit = limit.max(1);
        queue.latency = Sampler::new(latency);
        drop(queue);
        self.shared.changed.notify_all();
    }

    /// Runs `job` when a thread is free.
    pub fn run(&self, job: Job) {
        let mut queue = self.shared.lock();
        queue.ready.push_back(job);
        self.start_threads(&mut queue);
    }

    /// Runs `job` so much later, when a thread is free then.
    pub fn run_after(&self, delay: Duration, job: Job) {
        let workers = Self {
            shared: Arc::clone(&self.shared),
        };
        thread::spawn(move || {
            thread::sleep(delay);
            workers.run(job);
        });
    }

    /// Keeps `job` until it is released.
    pub fn hold(&self, job: Job) {
        self.shared.lock().held.push_back(job);
    }

    /// How many jobs are held.
    pub fn held(&self) -> usize {
        self.shared.lock().held.len()
    }

    /// Lets the oldest `count` held jobs run; says how many that were.
    pub fn release(&self, count: Option<usize>) -> usize {
        let mut queue = self.shared.lock();
        let count = count.unwrap_or(usize::MAX).min(queue.held.len());
        let released: Vec<Job> = queue.held.drain(..count).collect();
        queue.ready.extend(released);
        self.start_threads(&mut queue);
        count
    }

    fn start_threads(&self, queue: &mut Queue) {
        while queue.threads < queue.limit && queue.threads < queue.busy + queue.ready.len() {
            queue.threads += 1;
            let shared = Arc::clone(&self.shared);
            thread::spawn(move || shared.work());
        }
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut queue = self.lock();
        let mut pace = Pace::default();
        loop {
            if queue.busy < queue.limit
                && let Some(job) = queue.ready.pop_front()
            {
                queue.busy += 1;
                let latency = queue.latency.next();
                drop(queue);
                pace.sleep(latency);
                job();
                queue = self.lock();
                queue.busy -= 1;
                self.changed.notify_all();
            } else {
                pace = Pace::default();
                queue = self
                    .changed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// When a thread's last call was due, while it has not been idle since.
#[derive(Default)]
struct Pace(Option<Instant>);

impl Pace {
    /// A call takes this long before it does its work.
    fn sleep(&mut self, latency: Duration) {
        if checks::COSTLY {
            thread::sleep(latency);
        } else if !latency.is_zero() {
            // So many a second, to be counted on: what the work takes, and what a sleep is too long, is off the next
            // one's time.
            let due = self.0.unwrap_or_else(Instant::now) + latency;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.0 = Some(due);
        }
    }
}
