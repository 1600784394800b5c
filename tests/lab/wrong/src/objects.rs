//! Faults with framework objects.

use crate::{
    faults::Fault,
    kmdf::{attributes, call, delete, dereference, reference, wdf},
};
use core::{ffi::c_void, ptr};
use wdk_sys::{
    _POOL_TYPE::NonPagedPoolNx, PFN_WDFOBJECTDELETE, ULONG, WDFLOOKASIDE, WDFMEMORY, WDFOBJECT,
    WDFREQUEST, WDFSPINLOCK,
};

/// Commits the fault if it is one with objects.
pub fn commit(fault: Fault, request: WDFREQUEST) {
    match fault {
        Fault::InvalidHandle => delete(ptr::without_provenance_mut(0x1234_5678)),
        Fault::FreedHandle => {
            let object = object();
            delete(object);
            reference(object);
        }
        Fault::WrongHandleType => {
            // SAFETY: none is meant: the lab judges the call.
            unsafe {
                wdf!(PFN_WDFSPINLOCKACQUIRE[WdfSpinLockAcquireTableIndex](
                    request.cast::<<WDFSPINLOCK as Pointee>::Target>(),
                ));
            }
        }
        Fault::OverDereference => dereference(object()),
        Fault::DoubleDelete => {
            let object = object();
            reference(object);
            delete(object);
            delete(object);
        }
        Fault::DeleteNotAllowed => delete(request.cast()),
        Fault::MemoryLeak => {
            _ = memory();
        }
        Fault::Unimplemented => {
            // SAFETY: none is meant: the table's first entry, WdfChildListCreate, of another type
            // than it has.
            unsafe { call::call::<PFN_WDFOBJECTDELETE, _>(0, (ptr::null_mut::<c_void>(),)) };
        }
        _ => (),
    }
}

/// What a handle points to.
trait Pointee {
    type Target;
}

impl<T> Pointee for *mut T {
    type Target = T;
}

fn object() -> WDFOBJECT {
    let mut wanted = attributes();
    let mut object: WDFOBJECT = ptr::null_mut();
    // SAFETY: the place for the result is ours.
    let _status = unsafe {
        wdf!(PFN_WDFOBJECTCREATE[WdfObjectCreateTableIndex](
            &raw mut wanted,
            &raw mut object
        ))
    };
    object
}

fn memory() -> WDFMEMORY {
    const TAG: ULONG = ULONG::from_le_bytes(*b"Wrng");
    let mut list: WDFLOOKASIDE = ptr::null_mut();
    let mut memory: WDFMEMORY = ptr::null_mut();
    // SAFETY: the place for the result is ours.
    let _status = unsafe {
        wdf!(
            PFN_WDFLOOKASIDELISTCREATE[WdfLookasideListCreateTableIndex](
                ptr::null_mut(),
                64,
                NonPagedPoolNx,
                ptr::null_mut(),
                TAG,
                &raw mut list,
            )
        )
    };
    // SAFETY: the list was created above.
    let _status = unsafe {
        wdf!(PFN_WDFMEMORYCREATEFROMLOOKASIDE
            [WdfMemoryCreateFromLookasideTableIndex](
            list,
            &raw mut memory,
        ))
    };
    memory
}
