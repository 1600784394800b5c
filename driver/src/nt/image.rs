//! A look at another module's export directory.

use core::{ffi::c_void, ptr, slice};
use tlsgate_core::exports;

// In no kernel header, though ntoskrnl exports it; Microsoft documents it for user mode.
unsafe extern "system" {
    fn RtlPcToFileHeader(address: *const c_void, base: *mut *mut c_void) -> *mut c_void;
}

/// Whether the module that `address` lies in exports `name`. IRQL: PASSIVE_LEVEL, as an export
/// directory may be paged out.
///
/// # Safety
///
/// The module stays loaded during the call.
pub unsafe fn exports(address: *const c_void, name: &[u8]) -> bool {
    let mut base: *mut c_void = ptr::null_mut();
    // SAFETY: `base` is ours to write; any address may be asked for.
    unsafe { RtlPcToFileHeader(address, &raw mut base) };
    let Some(base) = ptr::NonNull::new(base.cast::<u8>()) else {
        return false;
    };
    // SAFETY: the first page of a loaded image is its header, and stays.
    let header = unsafe { base.cast::<[u8; exports::HEADER]>().as_ref() };
    let Some(range) = exports::directory(header) else {
        return false;
    };
    // SAFETY: the range lies in the image (`directory` has checked it against the image's size).
    let start = unsafe { base.add(range.start as usize) };
    let length = range.end.saturating_sub(range.start) as usize;
    // SAFETY: an image's export directory is read-only data that is never discarded.
    let directory = unsafe { slice::from_raw_parts(start.as_ptr(), length) };
    exports::has(directory, range.start, name)
}
