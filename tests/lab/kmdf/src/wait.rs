//! Waiting, and what waits are made of: Wine does it, the rules are watched here.

use crate::{
    ffi::In,
    irql::{self, APC},
    layout::NtStatus,
    spinlock,
    stop::stop,
    token,
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
    fn KeDelayExecutionThread(mode: i8, alertable: u8, interval: In<i64>) -> NtStatus;
    fn KeSetEvent(event: usize, increment: i32, wait: u8) -> i32;
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
    // SAFETY: as the driver asked.
    unsafe { KeWaitForSingleObject(object, reason, mode, alertable, timeout) }
}

/// `KeDelayExecutionThread`
pub fn delay(mode: i8, alertable: u8, interval: In<i64>) -> NtStatus {
    may_block("KeDelayExecutionThread");
    // SAFETY: as the driver asked.
    unsafe { KeDelayExecutionThread(mode, alertable, interval) }
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
    // SAFETY: as the driver asked.
    unsafe { KeReleaseSemaphore(semaphore, increment, adjustment, wait) }
}
