//! Faults with system threads, handles and kernel objects.

use crate::{faults::Fault, stack, tokens};
use core::{
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};
use wdk_sys::{
    _KWAIT_REASON::Executive,
    HANDLE, KPROCESSOR_MODE, LARGE_INTEGER, PVOID, STATUS_SUCCESS,
    ntddk::{
        KeDelayExecutionThread, KeWaitForSingleObject, ObReferenceObjectByHandle,
        ObfDereferenceObject, PsCreateSystemThread, PsTerminateSystemThread, ZwClose,
    },
};

const SYNCHRONIZE: u32 = 0x0010_0000;
/// `KernelMode`
const KERNEL_MODE: KPROCESSOR_MODE = 0;

/// A thread whose end unload waits for, so that only the fault itself is wrong.
static TO_JOIN: AtomicPtr<core::ffi::c_void> = AtomicPtr::new(ptr::null_mut());

/// Commits the fault if it is one with threads.
pub fn commit(fault: Fault) {
    match fault {
        Fault::ThreadStillRunning => close(start(sleep_long)),
        Fault::HandleLeak => {
            let handle = start(end);
            TO_JOIN.store(object(handle), Ordering::Release);
        }
        Fault::ObjectReferenceLeak => {
            let handle = start(end);
            wait(object(handle));
            close(handle);
        }
        Fault::BadHandle => {
            let handle = start(end);
            let thread = object(handle);
            close(handle);
            wait(thread);
            close(handle);
        }
        Fault::ObjectOverDereference => {
            let handle = start(end);
            let thread = object(handle);
            wait(thread);
            close(handle);
            release(thread);
            release(thread);
        }
        Fault::ThreadLeftImpersonating => {
            let handle = start(impersonate_and_end);
            wait(object(handle));
        }
        Fault::DeepInThread => {
            let handle = start(sleep_deep);
            wait(object(handle));
        }
        _ => (),
    }
}

/// Waits for the thread that a fault left to be waited for.
pub fn join() {
    let thread = TO_JOIN.swap(ptr::null_mut(), Ordering::AcqRel);
    if !thread.is_null() {
        wait(thread);
        release(thread);
    }
}

/// Sleeps for a millisecond.
pub fn sleep() {
    pause(1);
}

fn pause(milliseconds: i64) {
    let mut interval = LARGE_INTEGER {
        QuadPart: -10_000 * milliseconds,
    };
    // SAFETY: the interval lives across the call.
    let _status = unsafe { KeDelayExecutionThread(KERNEL_MODE, 0, &raw mut interval) };
}

extern "C" fn end(_context: PVOID) {
    // SAFETY: ends this very thread.
    let _never = unsafe { PsTerminateSystemThread(STATUS_SUCCESS) };
}

extern "C" fn sleep_deep(_context: PVOID) {
    stack::dive();
    sleep();
}

extern "C" fn sleep_long(_context: PVOID) {
    pause(60_000);
}

extern "C" fn impersonate_and_end(_context: PVOID) {
    tokens::impersonate();
}

/// Starts a system thread.
pub fn start(routine: extern "C" fn(PVOID)) -> HANDLE {
    let mut handle: HANDLE = ptr::null_mut();
    // SAFETY: the place for the result is ours; the routine is code of this image.
    let _status = unsafe {
        PsCreateSystemThread(
            &raw mut handle,
            SYNCHRONIZE,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            Some(routine),
            ptr::null_mut(),
        )
    };
    handle
}

fn object(handle: HANDLE) -> PVOID {
    let mut object: PVOID = ptr::null_mut();
    // SAFETY: the place for the result is ours.
    let _status = unsafe {
        ObReferenceObjectByHandle(
            handle,
            SYNCHRONIZE,
            ptr::null_mut(),
            KERNEL_MODE,
            &raw mut object,
            ptr::null_mut(),
        )
    };
    object
}

/// Waits for a kernel object.
pub fn wait(object: PVOID) {
    // SAFETY: the caller holds a reference.
    let _status =
        unsafe { KeWaitForSingleObject(object, Executive, KERNEL_MODE, 0, ptr::null_mut()) };
}

/// Closes a handle.
pub fn close(handle: HANDLE) {
    // SAFETY: none is meant: the lab judges the call.
    let _status = unsafe { ZwClose(handle) };
}

fn release(object: PVOID) {
    // SAFETY: none is meant: the lab judges the call.
    unsafe { ObfDereferenceObject(object) };
}
