//! A request: owned by dispatch first, then possibly pended.
//!
//! After its completion only the reference keeps the handle alive; the IRP and its buffers are
//! gone (Microsoft's documentation of `WdfRequestComplete`). So [`Request`] is consumed when it is
//! completed, and [`Pended`] gives its buffer to whoever has unmarked it, once.

use super::{call::wdf, raw};
use crate::{memory::wipe as wipe_bytes, nt};
use core::{cell::Cell, ffi::c_void, mem::MaybeUninit, ptr, slice};
use tlsgate_protocol::NtStatus;
use wdk_sys::{
    _WDF_REQUEST_TYPE::WdfRequestTypeDeviceControl, PFN_WDF_REQUEST_CANCEL, WDF_REQUEST_PARAMETERS,
    WDFDEVICE, WDFFILEOBJECT, WDFREQUEST,
};

/// A request that was delivered and not yet completed or pended. It must become one of both.
#[must_use]
pub struct Request {
    handle: WDFREQUEST,
    /// Where its bytes came and where the reply goes, once KMDF has told: neither changes before the
    /// completion.
    input: Cell<Option<Place>>,
    output: Cell<Option<Place>>,
}

/// Where bytes of a system buffer lie.
#[derive(Clone, Copy)]
struct Place {
    start: *mut u8,
    length: usize,
}

impl Place {
    /// No bytes, nowhere.
    const NONE: Self = Self {
        start: ptr::dangling_mut(),
        length: 0,
    };
}

impl Request {
    /// Takes charge of a delivered request.
    ///
    /// # Safety
    ///
    /// KMDF has just delivered `request` to the driver, which has not taken charge of it before.
    pub const unsafe fn new(request: WDFREQUEST) -> Self {
        Self {
            handle: request,
            input: Cell::new(None),
            output: Cell::new(None),
        }
    }

    /// The handle, for its context.
    pub const fn handle(&self) -> WDFREQUEST {
        self.handle
    }

    /// The file object it came over. IRQL: up to DISPATCH_LEVEL.
    pub fn file(&self) -> WDFFILEOBJECT {
        // SAFETY: the request is live.
        unsafe {
            wdf!(PFN_WDFREQUESTGETFILEOBJECT
                [WdfRequestGetFileObjectTableIndex](
                self.handle
            ))
        }
    }

    /// The caller's bytes. IRQL: up to DISPATCH_LEVEL.
    pub fn input(&self) -> &[u8] {
        let Place { start, length } = self.came();
        // SAFETY: METHOD_BUFFERED: a private, nonpaged copy, alive until completion, and `self` is
        // borrowed until then: nobody writes to it.
        unsafe { slice::from_raw_parts(start, length) }
    }

    /// The room for the reply: the same memory as [`Self::input`]. IRQL: up to DISPATCH_LEVEL.
    pub fn output(&mut self) -> &mut [u8] {
        let place = self.output.get().unwrap_or_else(|| {
            // SAFETY: the request is live.
            unsafe { output(self.handle) }
        });
        self.output.set(Some(place));
        // SAFETY: METHOD_BUFFERED: private, nonpaged memory until completion, and `self` is borrowed
        // exclusively.
        unsafe { slice::from_raw_parts_mut(place.start, place.length) }
    }

    /// Where the caller's bytes lie. IRQL: up to DISPATCH_LEVEL.
    fn came(&self) -> Place {
        let place = self.input.get().unwrap_or_else(|| {
            // SAFETY: the request is live.
            unsafe { input(self.handle) }
        });
        self.input.set(Some(place));
        place
    }

    /// The control code, or `None` if this is another kind of request. IRQL: up to DISPATCH_LEVEL.
    pub fn control_code(&self) -> Option<u32> {
        // SAFETY: integers, handles and nullable pointers: all zeros is a value.
        let mut parameters: WDF_REQUEST_PARAMETERS = unsafe { MaybeUninit::zeroed().assume_init() };
        parameters.Size = u16::try_from(size_of::<WDF_REQUEST_PARAMETERS>()).unwrap_or(0);
        // SAFETY: the request is live; the structure is ours to fill.
        unsafe {
            wdf!(PFN_WDFREQUESTGETPARAMETERS
                [WdfRequestGetParametersTableIndex](
                self.handle,
                &raw mut parameters
            ));
        }
        if parameters.Type != WdfRequestTypeDeviceControl {
            return None;
        }
        // SAFETY: this arm of the union belongs to the type just checked.
        Some(unsafe { parameters.Parameters.DeviceIoControl.IoControlCode })
    }

    /// Puts the request into the device's queue, from EvtIoInCallerContext. IRQL: up to
    /// DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// The queue does not take it: the caller completes it with the status given.
    ///
    /// # Safety
    ///
    /// `device` is the device that the request was sent to.
    pub unsafe fn enqueue(self, device: WDFDEVICE) -> Result<(), (Self, NtStatus)> {
        // SAFETY: both are live; the request has not been queued before.
        let status = unsafe {
            wdf!(PFN_WDFDEVICEENQUEUEREQUEST
                [WdfDeviceEnqueueRequestTableIndex](
                device, self.handle
            ))
        };
        nt::check(status).map_err(|status| (self, status))
    }

    /// Completes a device control request, of whose buffer the front so long is the reply. IRQL: up to
    /// DISPATCH_LEVEL.
    pub fn complete(self, status: NtStatus, information: usize) {
        // SAFETY: the request is the driver's, and not completed.
        unsafe { wipe(self.came(), information) };
        // SAFETY: the request is the driver's and not marked cancelable.
        unsafe { complete(self.handle, status, information) };
    }

    /// Completes an `IRP_MJ_CREATE` request. IRQL: PASSIVE_LEVEL.
    pub fn complete_create(self, status: NtStatus) {
        // SAFETY: the request is the driver's and not marked cancelable.
        unsafe { complete(self.handle, status, 0) };
    }

    /// Marks the request cancelable. Nothing may have been issued for it yet. `cancelled` may run before this returns, but never on this thread.
    ///
    /// # IRQL
    ///
    /// Up to DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// It was cancelled already: the caller completes it with the status given.
    pub fn mark_cancelable(
        self,
        cancelled: PFN_WDF_REQUEST_CANCEL,
    ) -> Result<(), (Self, NtStatus)> {
        // SAFETY: the request is the driver's and not marked.
        let status = unsafe {
            wdf!(PFN_WDFREQUESTMARKCANCELABLEEX
                [WdfRequestMarkCancelableExTableIndex](
                self.handle,
                cancelled
            ))
        };
        nt::check(status).map_err(|status| (self, status))
    }

    /// A reference that outlives the request's completion. IRQL: up to DISPATCH_LEVEL.
    pub fn keep(&self) -> Pended {
        // SAFETY: the request is live.
        unsafe {
            wdf!(PFN_WDFOBJECTREFERENCEACTUAL
                [WdfObjectReferenceActualTableIndex](
                self.handle.cast(),
                ptr::null_mut(),
                0,
                ptr::null()
            ));
        }
        Pended {
            handle: self.handle,
            input: self.came(),
        }
    }
}

/// A reference to a request that may be completed at any time, by its cancel callback if no one
/// else.
pub struct Pended {
    handle: WDFREQUEST,
    /// Where its bytes came; theirs until the completion only.
    input: Place,
}

// SAFETY: KMDF synchronises its handles; at the bytes is whoever completes the request, one thread.
unsafe impl Send for Pended {}
// SAFETY: as above.
unsafe impl Sync for Pended {}

impl Pended {
    /// The handle, for its context.
    pub const fn handle(&self) -> WDFREQUEST {
        self.handle
    }

    /// Takes the cancelable mark off. True if the caller is to complete the request; false if the
    /// cancel callback is or was called: the later of the two completes it. IRQL: up to
    /// DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// The request was marked and is not completed, and no one else unmarks it: the ticket's
    /// claimant calls this.
    pub unsafe fn unmark_cancelable(&self) -> bool {
        // SAFETY: the reference keeps the handle; it was marked (this function's contract).
        let status = unsafe {
            wdf!(PFN_WDFREQUESTUNMARKCANCELABLE
                [WdfRequestUnmarkCancelableTableIndex](
                self.handle
            ))
        };
        nt::check(status).is_ok()
    }

    /// Completes the request with a reply. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// The caller has unmarked the request, or is the later of its cancel callback and the claimant
    /// whose unmark failed; it completes it once.
    pub unsafe fn complete(&self, status: NtStatus, reply: impl FnOnce(&mut [u8]) -> usize) {
        let information = if status.is_success() {
            // SAFETY: not completed yet (this function's contract).
            let place = unsafe { output(self.handle) };
            // SAFETY: METHOD_BUFFERED: private, nonpaged memory until completion, and only the caller touches
            // it.
            reply(unsafe { slice::from_raw_parts_mut(place.start, place.length) })
        } else {
            0
        };
        // SAFETY: this function's contract.
        unsafe { wipe(self.input, information) };
        // SAFETY: this function's contract.
        unsafe { complete(self.handle, status, information) };
    }
}

impl Drop for Pended {
    fn drop(&mut self) {
        // SAFETY: the reference was taken by `Request::keep`.
        unsafe {
            wdf!(PFN_WDFOBJECTDEREFERENCEACTUAL
                [WdfObjectDereferenceActualTableIndex](
                self.handle.cast(),
                ptr::null_mut(),
                0,
                ptr::null()
            ));
        }
    }
}

/// Zeroes what came in the system buffer, but for the reply in its front: the I/O manager frees the
/// buffer as it is, and plaintext and tokens are not to lie in freed memory. (It copies the reply after
/// the completion, so that one the driver must leave.)
///
/// # Safety
///
/// The input of a device control request that is not completed; nothing else refers to it.
unsafe fn wipe(input: Place, reply: usize) {
    // SAFETY: METHOD_BUFFERED: private, nonpaged memory until completion; nothing else refers to it (this
    // function's contract).
    let came = unsafe { slice::from_raw_parts_mut(input.start, input.length) };
    if let Some(rest) = came.get_mut(reply..) {
        wipe_bytes(rest);
    }
}

/// Where the reply goes.
///
/// # Safety
///
/// The request is not completed.
unsafe fn output(request: WDFREQUEST) -> Place {
    let mut start: *mut c_void = ptr::null_mut();
    let mut length = 0;
    // SAFETY: the request is live; both outputs are ours to write.
    let found = nt::check(unsafe {
        wdf!(PFN_WDFREQUESTRETRIEVEOUTPUTBUFFER
            [WdfRequestRetrieveOutputBufferTableIndex](
            request,
            0,
            &raw mut start,
            &raw mut length
        ))
    });
    place(found.is_ok(), start, length)
}

/// Where what came lies.
///
/// # Safety
///
/// The request is not completed.
unsafe fn input(request: WDFREQUEST) -> Place {
    let mut start: *mut c_void = ptr::null_mut();
    let mut length = 0;
    // SAFETY: the request is live; both outputs are ours to write.
    let found = nt::check(unsafe {
        wdf!(PFN_WDFREQUESTRETRIEVEINPUTBUFFER
            [WdfRequestRetrieveInputBufferTableIndex](
            request,
            0,
            &raw mut start,
            &raw mut length
        ))
    });
    place(found.is_ok(), start, length)
}

/// What KMDF has told. A buffer of no bytes is none (it reports `STATUS_BUFFER_TOO_SMALL`).
fn place(found: bool, start: *mut c_void, length: usize) -> Place {
    if !found || start.is_null() {
        return Place::NONE;
    }
    Place {
        start: start.cast(),
        length,
    }
}

/// # Safety
///
/// The request is the caller's to complete, once.
unsafe fn complete(request: WDFREQUEST, status: NtStatus, information: usize) {
    // SAFETY: this function's contract.
    unsafe {
        wdf!(PFN_WDFREQUESTCOMPLETEWITHINFORMATION
            [WdfRequestCompleteWithInformationTableIndex](
            request,
            raw(status),
            information as u64
        ));
    }
}
