//! Faults of the driver's end: it goes as soon as somebody else has said that he is at his own.

use crate::{faults::Fault, sspi, threads};
use core::{
    cell::UnsafeCell,
    ffi::c_void,
    sync::atomic::{AtomicU32, Ordering},
};
use wdk_sys::{
    _EVENT_TYPE::NotificationEvent,
    KEVENT, PVOID,
    ntddk::{KeInitializeEvent, KeSetEvent},
};

/// The fault to commit at unload.
static FAULT: AtomicU32 = AtomicU32::new(0);
/// Somebody is at his end.
// SAFETY: numbers and addresses, which may be 0.
static ENDED: Event = Event(UnsafeCell::new(unsafe { core::mem::zeroed() }));

struct Event(UnsafeCell<KEVENT>);

// SAFETY: none but the kernel looks inside.
unsafe impl Sync for Event {}

/// Notes the fault if it is one of unload.
pub fn commit(fault: Fault) {
    if matches!(
        fault,
        Fault::ThreadReturnsLate | Fault::SspiCallbackReturnsLate
    ) {
        // SAFETY: the event is static, and nobody's yet.
        unsafe { KeInitializeEvent(ENDED.0.get(), NotificationEvent, 0) };
        FAULT.store(fault as u32, Ordering::Release);
    }
}

/// `EvtDriverUnload`
pub fn run() {
    threads::join();
    match Fault::from_function(FAULT.load(Ordering::Acquire)) {
        Some(Fault::ThreadReturnsLate) => {
            threads::close(threads::start(end));
            wait();
        }
        Some(Fault::SspiCallbackReturnsLate) => sspi::acquire_until(end_call, wait),
        _ => (),
    }
}

fn wait() {
    threads::wait(ENDED.0.get().cast());
}

fn set() {
    // SAFETY: initialised by `commit`, and static.
    unsafe { KeSetEvent(ENDED.0.get(), 0, 0) };
}

extern "C" fn end(_context: PVOID) {
    set();
}

extern "C" fn end_call(_context: sspi::Context, _data: *mut c_void) {
    set();
}
