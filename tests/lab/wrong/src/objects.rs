//! Faults with framework objects.

use crate::{
    faults::Fault,
    kmdf::{attributes, call, delete, dereference, poke, reference, size, wdf},
    locks,
};
use core::{ffi::c_void, ptr};
use wdk_sys::{
    _POOL_TYPE::NonPagedPoolNx, PFN_WDFOBJECTDELETE, ULONG, WDF_OBJECT_ATTRIBUTES,
    WDF_OBJECT_CONTEXT_TYPE_INFO, WDFLOOKASIDE, WDFMEMORY, WDFOBJECT, WDFREQUEST, WDFSPINLOCK,
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
        Fault::UseAfterDelete => {
            let lock = locks::create();
            reference(lock.cast());
            delete(lock.cast());
            locks::acquire(lock);
        }
        Fault::LookasideUsedAfterDelete => {
            let list = list(TAG);
            reference(list.cast());
            delete(list.cast());
            memory_of(list);
        }
        Fault::LookasideOverrun => {
            let memory = memory();
            poke(bytes_of(memory), SIZE);
            delete(memory.cast());
        }
        Fault::LookasideTouchedAfterDelete => {
            let memory = memory();
            let bytes = bytes_of(memory);
            delete(memory.cast());
            poke(bytes, 0);
        }
        Fault::LookasideTagUnprintable => _ = list(0x0102_0304),
        Fault::ContextOverrun => overrun_context(),
        Fault::AttributesNotInitialised => {
            create_object(&mut WDF_OBJECT_ATTRIBUTES {
                Size: size::<WDF_OBJECT_ATTRIBUTES>(),
                ..WDF_OBJECT_ATTRIBUTES::default()
            });
        }
        Fault::StructureSize => {
            create_object(&mut WDF_OBJECT_ATTRIBUTES {
                Size: 48,
                ..attributes()
            });
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
    create_object(&mut attributes())
}

/// An object that the driver object will delete.
pub fn create_object(wanted: &mut WDF_OBJECT_ATTRIBUTES) -> WDFOBJECT {
    let mut object: WDFOBJECT = ptr::null_mut();
    // SAFETY: the place for the result is ours.
    let _status = unsafe {
        wdf!(PFN_WDFOBJECTCREATE[WdfObjectCreateTableIndex](
            &raw mut *wanted,
            &raw mut object
        ))
    };
    object
}

/// Writes behind the context of an object, and deletes that.
fn overrun_context() {
    const ROOM: usize = 8;
    let mut kind = WDF_OBJECT_CONTEXT_TYPE_INFO {
        Size: size::<WDF_OBJECT_CONTEXT_TYPE_INFO>(),
        ContextSize: ROOM as _,
        ..WDF_OBJECT_CONTEXT_TYPE_INFO::default()
    };
    kind.UniqueType = &raw const kind;
    let object = create_object(&mut WDF_OBJECT_ATTRIBUTES {
        ContextTypeInfo: &raw const kind,
        ..attributes()
    });
    // SAFETY: the object has a context of this type.
    let context = unsafe {
        wdf!(PFN_WDFOBJECTGETTYPEDCONTEXTWORKER
            [WdfObjectGetTypedContextWorkerTableIndex](
            object,
            &raw const kind,
        ))
    };
    poke(context.cast(), ROOM);
    delete(object);
}

const TAG: ULONG = ULONG::from_le_bytes(*b"Wrng");
/// Bytes of a look-aside list's memory.
const SIZE: usize = 64;

fn list(tag: ULONG) -> WDFLOOKASIDE {
    let mut list: WDFLOOKASIDE = ptr::null_mut();
    // SAFETY: the place for the result is ours.
    let _status = unsafe {
        wdf!(
            PFN_WDFLOOKASIDELISTCREATE[WdfLookasideListCreateTableIndex](
                ptr::null_mut(),
                SIZE as _,
                NonPagedPoolNx,
                ptr::null_mut(),
                tag,
                &raw mut list,
            )
        )
    };
    list
}

fn memory() -> WDFMEMORY {
    memory_of(list(TAG))
}

fn memory_of(list: WDFLOOKASIDE) -> WDFMEMORY {
    let mut memory: WDFMEMORY = ptr::null_mut();
    // SAFETY: none is meant: the lab judges the call.
    let _status = unsafe {
        wdf!(PFN_WDFMEMORYCREATEFROMLOOKASIDE
            [WdfMemoryCreateFromLookasideTableIndex](
            list,
            &raw mut memory,
        ))
    };
    memory
}

fn bytes_of(memory: WDFMEMORY) -> *mut u8 {
    // SAFETY: the memory was created by the caller.
    unsafe {
        wdf!(PFN_WDFMEMORYGETBUFFER[WdfMemoryGetBufferTableIndex](
            memory,
            ptr::null_mut()
        ))
    }
    .cast()
}
