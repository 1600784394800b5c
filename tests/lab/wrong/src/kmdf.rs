//! Framework calls without any of the care that a driver should take.

#[path = "../../../../driver/src/kmdf/call.rs"]
pub mod call;

pub(crate) use call::wdf;

use core::{ffi::c_void, ptr};
use wdk_sys::{
    _WDF_EXECUTION_LEVEL::WdfExecutionLevelInheritFromParent,
    _WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeInheritFromParent, NTSTATUS, STATUS_SUCCESS,
    ULONG, WDF_OBJECT_ATTRIBUTES, WDFOBJECT, WDFREQUEST,
};

/// A structure's size as KMDF's `Size` fields have it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "no KMDF structure is near 4 GiB"
)]
pub const fn size<T>() -> ULONG {
    size_of::<T>() as ULONG
}

/// `WDF_OBJECT_ATTRIBUTES_INIT`
pub fn attributes() -> WDF_OBJECT_ATTRIBUTES {
    WDF_OBJECT_ATTRIBUTES {
        Size: size::<WDF_OBJECT_ATTRIBUTES>(),
        ExecutionLevel: WdfExecutionLevelInheritFromParent,
        SynchronizationScope: WdfSynchronizationScopeInheritFromParent,
        ..WDF_OBJECT_ATTRIBUTES::default()
    }
}

/// Completes a request with so many bytes of output.
pub fn complete_with(request: WDFREQUEST, status: NTSTATUS, information: usize) {
    // SAFETY: none is meant: the lab judges the call.
    unsafe {
        wdf!(PFN_WDFREQUESTCOMPLETEWITHINFORMATION
            [WdfRequestCompleteWithInformationTableIndex](
            request,
            status,
            information as _,
        ));
    }
}

/// Completes a request with success and no output.
pub fn complete(request: WDFREQUEST) {
    complete_with(request, STATUS_SUCCESS, 0);
}

/// Takes a reference.
pub fn reference(object: WDFOBJECT) {
    // SAFETY: none is meant: the lab judges the call.
    unsafe {
        wdf!(PFN_WDFOBJECTREFERENCEACTUAL
            [WdfObjectReferenceActualTableIndex](
            object,
            ptr::null_mut(),
            0,
            ptr::null(),
        ));
    }
}

/// Gives a reference back.
pub fn dereference(object: WDFOBJECT) {
    // SAFETY: none is meant: the lab judges the call.
    unsafe {
        wdf!(PFN_WDFOBJECTDEREFERENCEACTUAL
            [WdfObjectDereferenceActualTableIndex](
            object,
            ptr::null_mut(),
            0,
            ptr::null(),
        ));
    }
}

/// Deletes an object.
pub fn delete(object: WDFOBJECT) {
    // SAFETY: none is meant: the lab judges the call.
    unsafe { wdf!(PFN_WDFOBJECTDELETE[WdfObjectDeleteTableIndex](object)) };
}

/// The output buffer and its length.
pub fn output(request: WDFREQUEST) -> (*mut u8, usize) {
    let mut buffer: *mut c_void = ptr::null_mut();
    let mut length = 0;
    // SAFETY: none is meant: the lab judges the call.
    let _status = unsafe {
        wdf!(PFN_WDFREQUESTRETRIEVEOUTPUTBUFFER
            [WdfRequestRetrieveOutputBufferTableIndex](
            request,
            0,
            &raw mut buffer,
            &raw mut length,
        ))
    };
    (buffer.cast(), length)
}

/// Writes where it should perhaps not.
pub fn poke(address: *mut u8, offset: usize) {
    let place = address.wrapping_add(offset);
    // SAFETY: none is meant: the lab judges the write.
    unsafe { place.write_volatile(0x5A) };
}
