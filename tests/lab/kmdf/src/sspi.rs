//! What the driver has left with the kernel SSPI stand-in, if that is there.

use crate::stop::stop;
use std::mem::transmute;
use windows_sys::{
    Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress},
    core::PCSTR,
    s, w,
};

/// `LabLeaks` of `ksecdd.sys`: async contexts, credentials, security contexts, buffers and calls.
type Leaks = unsafe extern "system" fn() -> u64;

/// An exported function, whatever its signature is.
pub type Export = unsafe extern "system" fn() -> isize;

/// What the module exports under a name.
pub fn export(name: PCSTR) -> Option<Export> {
    // SAFETY: asks for a loaded module by its name.
    let module = unsafe { GetModuleHandleW(w!("ksecdd.sys")) };
    // SAFETY: the name is a terminated string of the callers here. The module stays: the driver that imports it is
    // still loaded. NULL finds nothing.
    unsafe { GetProcAddress(module, name) }
}

/// STOPs when something is left.
pub fn check_at_unload() {
    let Some(leaks) = export(s!("LabLeaks")) else {
        return;
    };
    // SAFETY: the stand-in exports this function with this signature.
    let leaks = unsafe { transmute::<Export, Leaks>(leaks) };
    // SAFETY: takes nothing.
    let left = unsafe { leaks() };
    if left > 0 {
        stop!(
            "sspi-leak",
            "{left} objects or calls of ksecdd.sys at unload"
        );
    }
}
