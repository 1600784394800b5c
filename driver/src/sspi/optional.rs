//! Which functions of the family this Windows' ksecdd.sys has that are not imported.

use crate::nt::image;
use core::ffi::c_void;
use tlsgate_protocol::payload::exports;

unsafe extern "C" {
    /// The import table's own entry: the function's address in ksecdd.sys. (The function's name is
    /// a jump in this image.)
    static __imp_SspiCreateAsyncContext: *const c_void;
}

/// The optional exports that are there, as QUERY_VERSION reports them. IRQL: PASSIVE_LEVEL, as an
/// export directory may be paged out.
pub fn exports_present() -> u32 {
    // SAFETY: the loader has filled the entry in, and it is never written again.
    let address = unsafe { __imp_SspiCreateAsyncContext };
    // SAFETY: ksecdd.sys stays loaded: this driver imports it.
    if unsafe { image::exports(address, b"SspiAsyncContextRequiresNotify") } {
        exports::REQUIRES_NOTIFY
    } else {
        0
    }
}
