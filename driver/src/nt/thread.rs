//! System threads of the driver's own, joined before it is unloaded.

use super::{KERNEL_MODE, check, event};
use crate::kmdf::size;
use core::{ffi::c_void, mem::MaybeUninit, ptr};
use tlsgate_protocol::NtStatus;
use wdk_sys::{
    HANDLE, LARGE_INTEGER, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, PVOID,
    ntddk::{
        KeDelayExecutionThread, KeQueryActiveProcessorCountEx, ObReferenceObjectByHandle,
        ObfDereferenceObject, PsCreateSystemThread, PsGetCurrentThreadId, ZwClose,
    },
};

const SYNCHRONIZE: u32 = 0x0010_0000;
const ALL_PROCESSOR_GROUPS: u16 = 0xFFFF;

/// A system thread that runs until its function returns. [`Self::join`] must be called before the
/// driver's image goes.
pub struct Thread(ptr::NonNull<c_void>);

// SAFETY: a referenced thread object may be waited for from anywhere.
unsafe impl Send for Thread {}
// SAFETY: as above.
unsafe impl Sync for Thread {}

/// What a thread runs.
pub type Routine = unsafe extern "C" fn(context: PVOID);

impl Thread {
    /// Starts a thread of the System process. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// What `PsCreateSystemThread` says.
    pub fn start(routine: Routine, context: PVOID) -> Result<Self, NtStatus> {
        // SAFETY: integers and nullable pointers: all zeros is a value.
        let mut attributes: OBJECT_ATTRIBUTES = unsafe { MaybeUninit::zeroed().assume_init() };
        attributes.Length = size::<OBJECT_ATTRIBUTES>();
        // Not in the handle table of whatever process this runs in.
        attributes.Attributes = OBJ_KERNEL_HANDLE;
        let mut handle: HANDLE = ptr::null_mut();
        // SAFETY: `handle` is ours to write; `routine` is code of this image, which stays until
        // the thread has been joined.
        check(unsafe {
            PsCreateSystemThread(
                &raw mut handle,
                SYNCHRONIZE,
                &raw mut attributes,
                ptr::null_mut(),
                ptr::null_mut(),
                Some(routine),
                context,
            )
        })?;
        let mut object: PVOID = ptr::null_mut();
        // SAFETY: the handle was made above; a kernel-mode caller may leave the type out.
        let referenced = check(unsafe {
            ObReferenceObjectByHandle(
                handle,
                SYNCHRONIZE,
                ptr::null_mut(),
                KERNEL_MODE,
                &raw mut object,
                ptr::null_mut(),
            )
        });
        // SAFETY: the handle was made above and is not used again.
        let _closed = unsafe { ZwClose(handle) };
        referenced?;
        ptr::NonNull::new(object)
            .map(Self)
            .ok_or(NtStatus::STATUS_INSUFFICIENT_RESOURCES)
    }

    /// Waits until the thread has ended. IRQL: PASSIVE_LEVEL. Only unload calls this.
    pub fn join(self) {
        event::wait(self.0.as_ptr());
        // SAFETY: the reference was taken by `start`.
        unsafe { ObfDereferenceObject(self.0.as_ptr()) };
    }
}

/// Processors of all groups, at least 1. IRQL: any.
pub fn processors() -> u32 {
    // SAFETY: takes a number.
    unsafe { KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS) }.max(1)
}

/// A number for the current thread, for comparing. IRQL: any.
pub fn current() -> usize {
    // SAFETY: takes nothing.
    unsafe { PsGetCurrentThreadId() }.addr()
}

/// Sleeps. IRQL: PASSIVE_LEVEL. Only unload calls this.
pub fn sleep_milliseconds(milliseconds: u16) {
    // Relative time is negative, in units of 100 ns.
    let mut interval = LARGE_INTEGER {
        QuadPart: i64::from(milliseconds).wrapping_mul(-10_000),
    };
    // SAFETY: the interval lives across the call.
    let _always_success = unsafe { KeDelayExecutionThread(KERNEL_MODE, 0, &raw mut interval) };
}
