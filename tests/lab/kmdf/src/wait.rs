//! Waiting, and what waits are made of: Wine does it, the rules are watched here.
//!
//! Relative time-outs are told by the lab's clock ([`clock::unbiased`]): tests can let time pass at once. So
//! such a wait is one for two objects; the other one is an event that is set when time has been advanced.

#[cfg(feature = "bench")]
use crate::{bench::semaphore, stop::lab_failed};
use crate::{
    clock,
    ffi::In,
    irql::{self, APC},
    layout::NtStatus,
    ledger::{self, Whose},
    spinlock,
    stop::stop,
    token,
};
use std::sync::{Mutex, MutexGuard, OnceLock};
use windows_sys::Win32::Foundation::{
    STATUS_SUCCESS, STATUS_TIMEOUT, STATUS_WAIT_0, STATUS_WAIT_1,
};

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn KeWaitForSingleObject(
        object: usize,
        reason: i32,
        mode: i8,
        alertable: u8,
        timeout: In<i64>,
    ) -> NtStatus;
    fn KeWaitForMultipleObjects(
        count: u32,
        objects: *const usize,
        kind: i32,
        reason: i32,
        mode: i8,
        alertable: u8,
        timeout: *const i64,
        blocks: usize,
    ) -> NtStatus;
    fn KeInitializeEvent(event: usize, kind: i32, state: u8);
    #[cfg(not(feature = "bench"))]
    fn KeInitializeSemaphore(semaphore: usize, count: i32, limit: i32);
    fn KeClearEvent(event: usize);
    fn KeDelayExecutionThread(mode: i8, alertable: u8, interval: In<i64>) -> NtStatus;
    fn KeSetEvent(event: usize, increment: i32, wait: u8) -> i32;
    #[cfg(not(feature = "bench"))]
    fn KeReleaseSemaphore(semaphore: usize, increment: i32, adjustment: i32, wait: u8) -> i32;
}

/// STOPs unless this thread may block. Up to APC_LEVEL, say the reference pages; and nobody goes to
/// sleep with somebody else's token, which is the lab's rule: impersonation lasts for one call.
fn may_block(function: &str) {
    let level = irql::current();
    if level > APC || spinlock::held() > 0 {
        stop!("wait-at-raised-irql", "{function} at {}", irql::name(level));
    }
    if token::current().is_some() {
        stop!("left-impersonating", "{function} with another's token");
    }
}

/// `KeWaitForSingleObject`: allowed up to DISPATCH_LEVEL if it only looks.
pub fn single(object: usize, reason: i32, mode: i8, alertable: u8, timeout: In<i64>) -> NtStatus {
    if timeout.get() != Some(0) {
        may_block("KeWaitForSingleObject");
    }
    if let Some(relative) = timeout.get().filter(|&timeout| timeout < 0) {
        let deadline = clock::unbiased().saturating_add(relative.unsigned_abs());
        return until(deadline, Some(object), reason, mode, alertable);
    }
    #[cfg(feature = "bench")]
    if semaphore::is(object) {
        if timeout.get().is_some() {
            lab_failed!("a wait for a semaphore that ends by itself");
        }
        semaphore::wait(object);
        return STATUS_SUCCESS;
    }
    // SAFETY: as the driver asked.
    ledger::of(Whose::Nobody, || unsafe {
        KeWaitForSingleObject(object, reason, mode, alertable, timeout)
    })
}

/// Waits for an object, or for none, until the lab's clock shows the deadline.
fn until(deadline: u64, object: Option<usize>, reason: i32, mode: i8, alertable: u8) -> NtStatus {
    /// `WaitAny`
    const ANY_OF_THEM: i32 = 1;
    loop {
        // Taken before the clock is read: should time be advanced in between, this event is set.
        let advanced = *advanced();
        let left = deadline.saturating_sub(clock::unbiased());
        let timeout = -i64::try_from(left).unwrap_or(i64::MAX);
        // The driver's in front: it counts even if time is up.
        let objects: Vec<usize> = object.into_iter().chain([advanced]).collect();
        let (count, time_advanced) = if object.is_some() {
            (2, STATUS_WAIT_1)
        } else {
            (1, STATUS_WAIT_0)
        };
        // SAFETY: the driver vouches for its object; the event is never freed. The list and the time-out
        // live across the call, and up to three objects need no wait blocks from the caller.
        let status = ledger::of(Whose::Nobody, || unsafe {
            KeWaitForMultipleObjects(
                count,
                objects.as_ptr(),
                ANY_OF_THEM,
                reason,
                mode,
                alertable,
                &raw const timeout,
                0,
            )
        });
        if status != time_advanced && status != STATUS_TIMEOUT {
            return status;
        }
        if left == 0 {
            return STATUS_TIMEOUT;
        }
    }
}

/// The event that will be set when time is advanced next: the address of a `KEVENT`.
fn advanced() -> MutexGuard<'static, usize> {
    static EVENT: OnceLock<Mutex<usize>> = OnceLock::new();
    crate::object::lock(EVENT.get_or_init(|| Mutex::new(new_event())))
}

/// A `KEVENT` that is not set. Never freed: somebody may wait for it still.
fn new_event() -> usize {
    /// `NotificationEvent`
    const NOTIFICATION: i32 = 0;
    let event = Box::leak(Box::new([0_u64; 3])).as_mut_ptr() as usize;
    // SAFETY: 24 bytes of its own, which is a KEVENT's size.
    unsafe { KeInitializeEvent(event, NOTIFICATION, 0) };
    event
}

/// Time was advanced: wakes whoever waits with a time-out, to look at the clock.
pub fn time_has_passed() {
    let before = std::mem::replace(&mut *advanced(), new_event());
    // SAFETY: made by `new_event`.
    unsafe { KeSetEvent(before, 0, 0) };
}

/// `KeDelayExecutionThread`
pub fn delay(mode: i8, alertable: u8, interval: In<i64>) -> NtStatus {
    may_block("KeDelayExecutionThread");
    if let Some(relative) = interval.get().filter(|&interval| interval < 0) {
        /// `DelayExecution`
        const DELAY: i32 = 4;
        let deadline = clock::unbiased().saturating_add(relative.unsigned_abs());
        return match until(deadline, None, DELAY, mode, alertable) {
            STATUS_TIMEOUT => STATUS_SUCCESS,
            other => other,
        };
    }
    // SAFETY: as the driver asked.
    unsafe { KeDelayExecutionThread(mode, alertable, interval) }
}

/// `KeInitializeEvent`
pub fn initialize_event(event: usize, kind: i32, state: u8) {
    // SAFETY: as the driver asked.
    unsafe { KeInitializeEvent(event, kind, state) };
}

/// `KeInitializeSemaphore`
pub fn initialize_semaphore(semaphore: usize, count: i32, limit: i32) {
    #[cfg(feature = "bench")]
    semaphore::initialize(semaphore, count, limit);
    #[cfg(not(feature = "bench"))]
    // SAFETY: as the driver asked.
    unsafe {
        KeInitializeSemaphore(semaphore, count, limit);
    }
}

/// `KeClearEvent`
pub fn clear_event(event: usize) {
    // SAFETY: as the driver asked.
    unsafe { KeClearEvent(event) };
}

/// `KeSetEvent`
pub fn set_event(event: usize, increment: i32, wait: u8) -> i32 {
    if wait != 0 {
        may_block("KeSetEvent with Wait");
    }
    // SAFETY: as the driver asked.
    unsafe { KeSetEvent(event, increment, wait) }
}

/// `KeReleaseSemaphore`
pub fn release_semaphore(semaphore: usize, increment: i32, adjustment: i32, wait: u8) -> i32 {
    if wait != 0 {
        may_block("KeReleaseSemaphore with Wait");
    }
    #[cfg(feature = "bench")]
    {
        // A boost of the woken thread's priority, which nothing here has.
        _ = increment;
        semaphore::release(semaphore, adjustment)
    }
    #[cfg(not(feature = "bench"))]
    // SAFETY: as the driver asked.
    unsafe {
        KeReleaseSemaphore(semaphore, increment, adjustment, wait)
    }
}
