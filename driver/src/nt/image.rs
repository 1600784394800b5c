//! A look at another module's export directory.

use core::{
    ffi::c_void,
    ptr::{self, NonNull},
    slice,
};
use tlsgate_core::exports;

// In no kernel header, though ntoskrnl exports it; Microsoft documents it for user mode.
unsafe extern "system" {
    fn RtlPcToFileHeader(address: *const c_void, base: *mut *mut c_void) -> *mut c_void;
}

/// The address of the function `name` of the module that `address` lies in, if it has one. IRQL:
/// PASSIVE_LEVEL, as an export directory may be paged out.
///
/// # Safety
///
/// The module stays loaded during the call.
pub unsafe fn export(address: *const c_void, name: &[u8]) -> Option<NonNull<c_void>> {
    let mut base: *mut c_void = ptr::null_mut();
    // SAFETY: `base` is ours to write; any address may be asked for.
    unsafe { RtlPcToFileHeader(address, &raw mut base) };
    let base = NonNull::new(base.cast::<u8>())?;
    // SAFETY: the first page of a loaded image is its header, and stays.
    let header = unsafe { base.cast::<[u8; exports::HEADER]>().as_ref() };
    let exports = exports::exports(header)?;
    // SAFETY: the range lies in the image (`exports` has checked it against the image's size).
    let start = unsafe { base.add(exports.directory.start as usize) };
    let length = exports
        .directory
        .end
        .saturating_sub(exports.directory.start) as usize;
    // SAFETY: an image's export directory is read-only data that is never discarded.
    let directory = unsafe { slice::from_raw_parts(start.as_ptr(), length) };
    let found = exports.find(directory, name)?;
    // SAFETY: `find` has checked it against the image's size.
    Some(unsafe { base.add(found as usize) }.cast())
}
