//! A semaphore for the issuers, and events for the watch and unload: the only things the driver waits
//! on.

use super::KERNEL_MODE;
use crate::kmdf::NO;
use core::{cell::UnsafeCell, marker::PhantomPinned, mem::MaybeUninit, pin::Pin};
use wdk_sys::{
    _EVENT_TYPE::NotificationEvent,
    _KWAIT_REASON::Executive,
    KEVENT, KSEMAPHORE, LARGE_INTEGER, LONG, STATUS_SUCCESS,
    ntddk::{
        KeInitializeEvent, KeInitializeSemaphore, KeReleaseSemaphore, KeSetEvent,
        KeWaitForSingleObject,
    },
};

/// Counts work that waits for a thread. Its memory must not move: the kernel links it into lists.
pub struct Semaphore {
    raw: UnsafeCell<MaybeUninit<KSEMAPHORE>>,
    _pinned: PhantomPinned,
}

// SAFETY: the kernel synchronises all access to an initialised dispatcher object.
unsafe impl Send for Semaphore {}
// SAFETY: as above.
unsafe impl Sync for Semaphore {}

impl Semaphore {
    /// Memory for a semaphore; [`Self::initialize`] comes next.
    pub const fn new() -> Self {
        Self {
            raw: UnsafeCell::new(MaybeUninit::uninit()),
            _pinned: PhantomPinned,
        }
    }

    /// Makes it usable, with a count of 0. IRQL: any. To be called once, before it is shared.
    pub fn initialize(self: Pin<&Self>) {
        // SAFETY: the memory is ours and stays where it is (`Pin`).
        unsafe { KeInitializeSemaphore(self.raw.get().cast(), 0, LONG::MAX) };
    }

    /// Wakes `count` waiters. IRQL: up to DISPATCH_LEVEL.
    pub fn release(self: Pin<&Self>, count: LONG) {
        // SAFETY: initialised; the limit is out of reach of the operations there can be.
        unsafe { KeReleaseSemaphore(self.raw.get().cast(), 0, count, NO) };
    }

    /// Waits for one release. IRQL: PASSIVE_LEVEL. Only the issuers' idle loop calls this.
    pub fn wait(self: Pin<&Self>) {
        wait(self.raw.get().cast());
    }
}

/// Set once and for all. Its memory must not move.
pub struct Event {
    raw: UnsafeCell<MaybeUninit<KEVENT>>,
    _pinned: PhantomPinned,
}

// SAFETY: the kernel synchronises all access to an initialised dispatcher object.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// Memory for an event; [`Self::initialize`] comes next.
    pub const fn new() -> Self {
        Self {
            raw: UnsafeCell::new(MaybeUninit::uninit()),
            _pinned: PhantomPinned,
        }
    }

    /// Makes it usable, not set. IRQL: any. To be called once, before it is shared.
    pub fn initialize(self: Pin<&Self>) {
        // SAFETY: the memory is ours and stays where it is (`Pin`).
        unsafe { KeInitializeEvent(self.raw.get().cast(), NotificationEvent, NO) };
    }

    /// Sets it. IRQL: up to DISPATCH_LEVEL (no wait follows).
    pub fn set(self: Pin<&Self>) {
        // SAFETY: initialised.
        unsafe { KeSetEvent(self.raw.get().cast(), 0, NO) };
    }

    /// Waits until it is set, or until so many units of 100 ns have passed. True if it is set. IRQL:
    /// PASSIVE_LEVEL. Only the watch's idle loop and unload call this.
    pub fn wait_for(self: Pin<&Self>, time: u64) -> bool {
        // Relative time is negative.
        let mut time_out = LARGE_INTEGER {
            QuadPart: 0_i64.saturating_sub_unsigned(time),
        };
        // SAFETY: the event is initialised, and the time-out lives across the call.
        let status = unsafe {
            KeWaitForSingleObject(
                self.raw.get().cast(),
                Executive,
                KERNEL_MODE,
                NO,
                &raw mut time_out,
            )
        };
        status == STATUS_SUCCESS
    }
}

/// Waits for a dispatcher object without a time-out and without alerts: nothing but the object
/// ends the wait.
pub(super) fn wait(object: *mut core::ffi::c_void) {
    // SAFETY: the callers in this folder pass an initialised dispatcher object that they keep.
    let _always_success =
        unsafe { KeWaitForSingleObject(object, Executive, KERNEL_MODE, NO, core::ptr::null_mut()) };
}
