//! Semaphores of our own in the driver's `KSEMAPHORE`s, and how long it takes from a release to the thread that it
//! wakes.
//!
//! Wine's ask its server, twice for a hop from one thread to another, which takes some ten times as long as a
//! kernel's semaphore.

use super::sleepers::Sleepers;
use crate::{
    ledger::{self, Whose},
    mine::Mine,
    spinlock,
    stop::lab_failed,
};
use std::{
    cell::Cell,
    sync::atomic::{
        AtomicI32, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
    time::Duration,
};

/// In the driver's memory, in place of a `KSEMAPHORE`: 32 bytes.
#[repr(C)]
struct Semaphore {
    /// `SemaphoreObject`
    kind: u32,
    count: AtomicI32,
    /// No list's address.
    mark: u64,
    sleepers: Sleepers,
    _unused: u64,
}

const _: () = assert!(size_of::<Semaphore>() == 32);

const MARK: u64 = 0x6261_7244_5345_4D41;

/// Sums of the processor's counter: how long things were on their way is the difference.
static RELEASED: AtomicU64 = AtomicU64::new(0);
static TAKEN: AtomicU64 = AtomicU64::new(0);
static HOPS: AtomicU64 = AtomicU64::new(0);

/// `KeInitializeSemaphore`
pub fn initialize(semaphore: usize, count: i32, _limit: i32) {
    /// `SemaphoreObject`
    const KIND: u32 = 5;
    let place = std::ptr::with_exposed_provenance_mut::<Semaphore>(semaphore);
    let value = Semaphore {
        kind: KIND,
        count: AtomicI32::new(count),
        mark: MARK,
        sleepers: Sleepers::default(),
        _unused: 0,
    };
    // SAFETY: the driver gives 32 aligned bytes of its own, which nobody uses yet.
    unsafe { place.write(value) };
}

/// The semaphore at an address, if one of ours is there.
fn at(object: usize) -> Option<&'static Semaphore> {
    // SAFETY: the driver passes a dispatcher object, which is aligned, has at least 24 bytes, and stays while it is
    // waited for or released; integers have no invalid values. Of the bytes behind the mark nothing is read unless
    // the mark says that there are 32.
    let semaphore = unsafe { &*std::ptr::with_exposed_provenance::<Semaphore>(object) };
    (semaphore.mark == MARK).then_some(semaphore)
}

/// Whether one of ours is there.
pub fn is(object: usize) -> bool {
    at(object).is_some()
}

/// `KeReleaseSemaphore`
pub fn release(semaphore: usize, more: i32) -> i32 {
    let Some(semaphore) = at(semaphore) else {
        lab_failed!("KeReleaseSemaphore of what is none of ours");
    };
    if more == 1 {
        RELEASED.fetch_add(ledger::ticks(), Relaxed);
    }
    let before = semaphore.count.fetch_add(more, SeqCst);
    if semaphore.sleepers.are_there() {
        if more > 1 {
            semaphore.sleepers.wake_all();
        } else if spinlock::held() > 0 {
            // At DISPATCH_LEVEL nobody else runs on this processor. Who is woken at once may do so here, and take this
            // thread's place while it holds what everybody wants.
            if let Some(other) = LATER.get().replace(Some(semaphore)) {
                wake_one(other);
            }
        } else {
            wake_one(semaphore);
        }
    }
    before
}

/// Where somebody sleeps who is to be woken when this thread has let its spin locks go.
static LATER: Mine<Cell<Option<&'static Semaphore>>> = Mine::new(|| Cell::new(None));

/// This thread has let its last spin lock go.
pub fn wake_whom_it_is_time_to() {
    if let Some(semaphore) = LATER.get().take() {
        wake_one(semaphore);
    }
}

/// What it takes is part of the hop, which is told apart: on a busy host the thread that wakes loses the processor to
/// the one that it wakes.
fn wake_one(semaphore: &Semaphore) {
    ledger::of(Whose::Nobody, || semaphore.sleepers.wake_one());
}

/// `KeWaitForSingleObject` without a time-out.
pub fn wait(semaphore: usize) {
    let Some(semaphore) = at(semaphore) else {
        lab_failed!("a wait for what is none of our semaphores");
    };
    while !take(semaphore) {
        ledger::of(Whose::Nobody, || {
            semaphore
                .sleepers
                .sleep(|| semaphore.count.load(SeqCst) <= 0);
        });
    }
    TAKEN.fetch_add(ledger::ticks(), Relaxed);
    HOPS.fetch_add(1, Relaxed);
}

fn take(semaphore: &Semaphore) -> bool {
    let less = |count: i32| (count > 0).then(|| count - 1);
    semaphore.count.fetch_update(SeqCst, SeqCst, less).is_ok()
}

/// The time from each release of one to the end of the wait that had it, summed, and how many those are. While
/// nothing is on its way it is exact.
pub fn hops() -> (Duration, u64) {
    let (taken, released) = (TAKEN.load(SeqCst), RELEASED.load(SeqCst));
    let ticks = taken.wrapping_sub(released);
    let ticks = if ticks > u64::MAX / 2 { 0 } else { ticks };
    (ledger::time(ticks), HOPS.load(SeqCst))
}
