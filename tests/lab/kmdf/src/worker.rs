//! The threads that call the driver: Wine has one dispatch thread, Windows has as many as callers.

use crate::object::lock;
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
    thread,
};

type Job = Box<dyn FnOnce() + Send>;

struct Pool {
    jobs: VecDeque<Job>,
    threads: usize,
    wanted: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool {
    jobs: VecDeque::new(),
    threads: 0,
    wanted: 0,
});
static CHANGED: Condvar = Condvar::new();

/// Sets the number of threads; those too many leave when they have nothing to do.
pub fn set_count(wanted: usize) {
    let mut pool = lock(&POOL);
    pool.wanted = wanted.max(1);
    while pool.threads < pool.wanted {
        pool.threads += 1;
        thread::spawn(work);
    }
    drop(pool);
    CHANGED.notify_all();
}

/// Has a worker do `job` as soon as one is free.
pub fn submit(job: impl FnOnce() + Send + 'static) {
    lock(&POOL).jobs.push_back(Box::new(job));
    CHANGED.notify_one();
}

fn work() {
    while let Some(job) = next() {
        job();
    }
}

fn next() -> Option<Job> {
    let mut pool = CHANGED
        .wait_while(lock(&POOL), |pool| {
            pool.jobs.is_empty() && pool.threads <= pool.wanted
        })
        .unwrap_or_else(PoisonError::into_inner);
    if pool.threads > pool.wanted {
        pool.threads -= 1;
        return None;
    }
    pool.jobs.pop_front()
}
