//! What the driver has left with the kernel SSPI stand-in, if that is there.

use crate::stop::stop;
use std::mem::transmute;
use windows_sys::{
    Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress},
    s, w,
};

/// `LabLeaks` of `ksecdd.sys`: async contexts, credentials, security contexts, buffers and calls.
type Leaks = unsafe extern "system" fn() -> u64;

/// STOPs when something is left.
pub fn check_at_unload() {
    // SAFETY: asks for a loaded module by its name.
    let module = unsafe { GetModuleHandleW(w!("ksecdd.sys")) };
    // SAFETY: the module stays: the driver that imports it is still loaded. NULL finds nothing.
    let Some(leaks) = (unsafe { GetProcAddress(module, s!("LabLeaks")) }) else {
        return;
    };
    // SAFETY: the stand-in exports this function with this signature.
    let leaks = unsafe { transmute::<unsafe extern "system" fn() -> isize, Leaks>(leaks) };
    // SAFETY: takes nothing.
    let left = unsafe { leaks() };
    if left > 0 {
        stop!(
            "sspi-leak",
            "{left} objects or calls of ksecdd.sys at unload"
        );
    }
}
