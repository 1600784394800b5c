//! Typed context space on framework objects.

use super::{call::wdf, size};
use core::{ffi::CStr, marker::PhantomData, ptr::NonNull};
use wdk_sys::{
    _WDF_EXECUTION_LEVEL::WdfExecutionLevelInheritFromParent,
    _WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeInheritFromParent,
    PFN_WDF_OBJECT_CONTEXT_CLEANUP, WDF_OBJECT_ATTRIBUTES, WDF_OBJECT_CONTEXT_TYPE_INFO, WDFOBJECT,
};

/// Declares context space of type T, which KMDF hands out zeroed.
pub struct ContextType<T> {
    info: WDF_OBJECT_CONTEXT_TYPE_INFO,
    _context: PhantomData<fn() -> T>,
}

// SAFETY: never written after it was made; the pointers in it are to statics.
unsafe impl<T> Sync for ContextType<T> {}

/// A type for which all-zero memory, as KMDF makes it, is a value.
///
/// # Safety
///
/// The implementor promises just that, and that the value may be shared between threads.
pub unsafe trait ZeroContext: Sync {}

impl<T: ZeroContext> ContextType<T> {
    /// The declaration, for a static; `own` is the address of that static itself, which is how
    /// KMDF tells types apart.
    pub const fn new(name: &'static CStr, own: *const Self) -> Self {
        // KMDF aligns context space to 16 (MEMORY_ALLOCATION_ALIGNMENT).
        const { assert!(align_of::<T>() <= 16) };
        Self {
            info: WDF_OBJECT_CONTEXT_TYPE_INFO {
                Size: size::<WDF_OBJECT_CONTEXT_TYPE_INFO>(),
                ContextName: name.as_ptr().cast(),
                ContextSize: size_of::<T>(),
                // `info` is the first field: `repr(Rust)` does not promise it, the assert does.
                UniqueType: own.cast(),
                EvtDriverGetUniqueContextType: None,
            },
            _context: PhantomData,
        }
    }

    /// Attributes that give an object this context.
    pub fn attributes(
        &'static self,
        cleanup: PFN_WDF_OBJECT_CONTEXT_CLEANUP,
    ) -> WDF_OBJECT_ATTRIBUTES {
        WDF_OBJECT_ATTRIBUTES {
            EvtCleanupCallback: cleanup,
            ContextTypeInfo: &raw const self.info,
            ..plain_attributes()
        }
    }

    /// The context of `object`. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// `object` was made with [`Self::attributes`] of this very declaration, and lives for `'a`.
    pub unsafe fn of<'a>(&'static self, object: WDFOBJECT) -> Option<&'a T> {
        // SAFETY: the handle is live (this function's contract); the type info is a static.
        let context = unsafe {
            wdf!(PFN_WDFOBJECTGETTYPEDCONTEXTWORKER
                [WdfObjectGetTypedContextWorkerTableIndex](
                object,
                &raw const self.info
            ))
        };
        // SAFETY: KMDF returns the zeroed context of this type, which is a value (`ZeroContext`).
        NonNull::new(context.cast::<T>()).map(|context| unsafe { context.as_ref() })
    }
}

const _: () = assert!(core::mem::offset_of!(ContextType<()>, info) == 0);

// SAFETY: nothing at all is a value of this type.
unsafe impl ZeroContext for () {}

/// `WDF_OBJECT_ATTRIBUTES_INIT`.
pub fn plain_attributes() -> WDF_OBJECT_ATTRIBUTES {
    WDF_OBJECT_ATTRIBUTES {
        Size: size::<WDF_OBJECT_ATTRIBUTES>(),
        ExecutionLevel: WdfExecutionLevelInheritFromParent,
        SynchronizationScope: WdfSynchronizationScopeInheritFromParent,
        ..WDF_OBJECT_ATTRIBUTES::default()
    }
}

/// Deletes an object that the driver owns. IRQL: up to DISPATCH_LEVEL for the kind in use (spin
/// locks).
///
/// # Safety
///
/// `object` is the driver's to delete, and nothing uses it any more.
pub unsafe fn delete(object: WDFOBJECT) {
    // SAFETY: this function's contract.
    unsafe { wdf!(PFN_WDFOBJECTDELETE[WdfObjectDeleteTableIndex](object)) };
}
