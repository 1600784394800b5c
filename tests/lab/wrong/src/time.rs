//! Nothing wrong: waits that end when the test lets time pass.

use crate::{faults::Fault, kmdf::poke};
use core::{cell::UnsafeCell, ptr};
use wdk_sys::{
    _EVENT_TYPE::SynchronizationEvent,
    _KWAIT_REASON::Executive,
    KEVENT, LARGE_INTEGER, NTSTATUS, STATUS_SUCCESS, STATUS_TIMEOUT,
    ntddk::{
        KeDelayExecutionThread, KeInitializeEvent, KeQueryInterruptTimePrecise,
        KeQueryUnbiasedInterruptTime, KeSetEvent, KeWaitForSingleObject,
    },
};

/// An hour in units of 100 ns.
const HOUR: u64 = 3600 * 10_000_000;
/// Half of it is what the test is sure to have let pass when an hour's wait has ended.
const ENOUGH: u64 = HOUR / 2;

/// Commits the fault if it is one with time.
pub fn commit(fault: Fault) {
    if fault == Fault::TimeRight {
        run();
    }
}

/// The test has had the machine sleep for an hour, and lets an hour pass again and again.
fn run() {
    expect(interrupt() - unbiased() >= ENOUGH);
    let event = UnsafeCell::new(KEVENT::default());
    // SAFETY: the event is this function's, which keeps it in its place.
    unsafe { KeInitializeEvent(event.get(), SynchronizationEvent, 0) };

    let (before, slept) = (unbiased(), interrupt() - unbiased());
    expect(wait_an_hour(&event) == STATUS_TIMEOUT);
    expect(unbiased() - before >= ENOUGH);

    let before = unbiased();
    let mut interval = hour();
    // SAFETY: the interval lives across the call.
    expect(unsafe { KeDelayExecutionThread(0, 0, &raw mut interval) } == STATUS_SUCCESS);
    expect(unbiased() - before >= ENOUGH);
    // Nobody has slept meanwhile.
    expect((interrupt() - unbiased()).abs_diff(slept) < ENOUGH);

    // What is there needs no time.
    // SAFETY: initialised above.
    unsafe { KeSetEvent(event.get(), 0, 0) };
    expect(wait_an_hour(&event) == STATUS_SUCCESS);
}

fn expect(right: bool) {
    if !right {
        poke(ptr::null_mut(), 0);
    }
}

fn hour() -> LARGE_INTEGER {
    LARGE_INTEGER {
        QuadPart: -HOUR.cast_signed(),
    }
}

fn wait_an_hour(event: &UnsafeCell<KEVENT>) -> NTSTATUS {
    let mut timeout = hour();
    // SAFETY: an initialised event; the time-out lives across the call.
    unsafe { KeWaitForSingleObject(event.get().cast(), Executive, 0, 0, &raw mut timeout) }
}

fn unbiased() -> u64 {
    // SAFETY: takes nothing.
    unsafe { KeQueryUnbiasedInterruptTime() }
}

fn interrupt() -> u64 {
    let mut counter = 0;
    // SAFETY: the place for the counter is ours.
    unsafe { KeQueryInterruptTimePrecise(&raw mut counter) }
}
