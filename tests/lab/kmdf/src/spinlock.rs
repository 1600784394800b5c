//! `WDFSPINLOCK`: raises the IRQL, spins, and is watched for recursion, order and forgotten
//! releases.

use crate::{
    attributes::Attributes,
    checks, driver,
    ffi::{In, Out},
    handle::{Handle, Kind},
    irql::{self, DISPATCH},
    layout::{NtStatus, ObjectAttributes},
    mine::Mine,
    object::{self, Body, lock},
    stop::stop,
};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    hint,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use windows_sys::Win32::Foundation::STATUS_SUCCESS;

/// How often a lock that is taken is looked at before another thread is let run in between: less than a millisecond.
const SPINS: u32 = 2_000;

struct SpinLock {
    taken: AtomicBool,
}

impl SpinLock {
    fn take(&self) {
        let mut spins = 0;
        while self.taken.swap(true, Ordering::Acquire) {
            // Nobody is preempted with a spin lock on Windows: as a rule it is free in a moment.
            if spins < SPINS {
                spins += 1;
                hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }
}

impl Body for SpinLock {
    const KIND: Kind = Kind::SpinLock;

    fn freed(&self) {
        if self.taken.load(Ordering::Acquire) {
            stop!("spin-lock-held", "deleted while it is held");
        }
    }
}

/// The locks this thread holds, and the IRQL before each.
static HELD: Mine<RefCell<Vec<(Handle, u8)>>> = Mine::new(RefCell::default);

/// What was taken under each lock so far. A way around in a circle may deadlock.
static TAKEN_UNDER: LazyLock<Mutex<HashMap<Handle, HashSet<Handle>>>> =
    LazyLock::new(Mutex::default);

/// How many spin locks the current thread holds.
pub fn held() -> usize {
    HELD.get().borrow().len()
}

/// `WdfSpinLockCreate`
pub fn create(attributes: In<ObjectAttributes>, result: Out<Handle>) -> NtStatus {
    let attributes = Attributes::read(attributes);
    let body = SpinLock {
        taken: AtomicBool::new(false),
    };
    result.set(object::create(&attributes, Some(driver::handle()), body).handle());
    STATUS_SUCCESS
}

/// `WdfSpinLockAcquire`
pub fn acquire(handle: Handle) {
    {
        let held = HELD.get().borrow();
        if held.iter().any(|&(other, _)| other == handle) {
            stop!("spin-lock-recursion", "this thread holds it already");
        }
        if checks::COSTLY
            && let Some(&(outer, _)) = held.last()
        {
            let mut order = lock(&TAKEN_UNDER);
            if leads_to(&order, handle, outer) {
                stop!(
                    "lock-order",
                    "the lock that is held was taken under the other one before, or under one that was"
                );
            }
            order.entry(outer).or_default().insert(handle);
        }
    }
    let before = object::with(handle, |spin_lock: &SpinLock| {
        let before = irql::set(DISPATCH);
        spin_lock.take();
        before
    });
    HELD.get().borrow_mut().push((handle, before));
}

/// Whether `last` was taken under `first`, or under a lock that was, and so on.
fn leads_to(order: &HashMap<Handle, HashSet<Handle>>, first: Handle, last: Handle) -> bool {
    let mut seen = HashSet::new();
    let mut next = vec![first];
    while let Some(lock) = next.pop() {
        if lock == last {
            return true;
        }
        if seen.insert(lock) {
            next.extend(order.get(&lock).into_iter().flatten());
        }
    }
    false
}

/// `WdfSpinLockRelease`
pub fn release(handle: Handle) {
    let Some((last, before)) = HELD.get().borrow_mut().pop() else {
        stop!("spin-lock-not-held", "this thread holds none");
    };
    if last != handle {
        stop!(
            "spin-lock-not-held",
            "not the one that this thread took last"
        );
    }
    if irql::current() != DISPATCH {
        stop!(
            "irql-changed",
            "a spin lock is released at {}",
            irql::name(irql::current())
        );
    }
    object::with(handle, |spin_lock: &SpinLock| {
        spin_lock.taken.store(false, Ordering::Release);
    });
    irql::set(before);
    #[cfg(feature = "bench")]
    if held() == 0 {
        crate::bench::semaphore::wake_whom_it_is_time_to();
    }
}
