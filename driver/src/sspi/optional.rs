//! Functions of the family that not every Windows' ksecdd.sys exports: looked up when the driver is
//! loaded, never imported.

use crate::nt::image;
use core::{
    ffi::c_void,
    mem,
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, Ordering},
};
use tlsgate_protocol::payload::exports;
use wdk_sys::{BOOLEAN, SspiAsyncContext};

unsafe extern "C" {
    /// The import table's own entry: the function's address in ksecdd.sys. (The function's name is
    /// a jump in this image.)
    static __imp_SspiCreateAsyncContext: *const c_void;
}

/// `SspiAsyncContextRequiresNotify`.
type RequiresNotify = unsafe extern "C" fn(*mut SspiAsyncContext) -> BOOLEAN;

/// Its address, null when ksecdd.sys does not export it.
static REQUIRES_NOTIFY: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Looks the optional functions up, and says which are there, as QUERY_VERSION reports them. IRQL:
/// PASSIVE_LEVEL, as an export directory may be paged out; from `DriverEntry`.
pub fn look_up() -> u32 {
    // SAFETY: the loader has filled the entry in, and it is never written again.
    let address = unsafe { __imp_SspiCreateAsyncContext };
    // SAFETY: ksecdd.sys stays loaded: this driver imports it.
    let found = unsafe { image::export(address, b"SspiAsyncContextRequiresNotify") };
    REQUIRES_NOTIFY.store(
        found.map_or(ptr::null_mut(), NonNull::as_ptr),
        Ordering::Release,
    );
    found.map_or(0, |_| exports::REQUIRES_NOTIFY)
}

/// Whether ksecdd owes a callback for the last call on a context. `None` when this Windows does not
/// say. IRQL: PASSIVE_LEVEL.
///
/// # Safety
///
/// The context is alive.
pub unsafe fn requires_notify(context: NonNull<SspiAsyncContext>) -> Option<bool> {
    let address = NonNull::new(REQUIRES_NOTIFY.load(Ordering::Acquire))?;
    // SAFETY: ksecdd.sys exports a function of this type under that name (documentation of
    // `SspiAsyncContextRequiresNotify`), and stays loaded.
    let function = unsafe { mem::transmute::<NonNull<c_void>, RequiresNotify>(address) };
    // SAFETY: this function's contract.
    Some(unsafe { function(context.as_ptr()) } != 0)
}
