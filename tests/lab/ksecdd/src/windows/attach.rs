//! The stand-in's life in the process: made when it is loaded, and there until the process ends.

use super::kernel::{self, Kernel};
use crate::{
    control,
    ksecdd::Ksecdd,
    machine::Machine,
    rules::{Broken, Checked},
};
use std::{
    ffi::c_void,
    panic,
    path::Path,
    sync::{Arc, LazyLock},
    thread,
};
use tlsgate_lab_control::FOLDER;
use windows_sys::Win32::System::{
    LibraryLoader::{
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
    },
    SystemServices::DLL_PROCESS_ATTACH,
};

/// What stands for a rule when the stand-in itself has failed, as in the KMDF stand-in.
const LAB_FAILED: &str = "lab";

static KSECDD: LazyLock<Arc<Ksecdd>> = LazyLock::new(|| Ksecdd::new(Box::new(Kernel)));

/// The stand-in, for what is no call of the driver's.
#[cfg(feature = "bench")]
pub fn ksecdd() -> &'static Arc<Ksecdd> {
    &KSECDD
}

/// Does what a function of the module does, and stops the machine if that breaks a rule. The stack that it takes
/// is not the driver's.
#[inline(never)]
pub fn call<T: Default>(function: impl FnOnce(&Arc<Ksecdd>) -> Checked<T>) -> T {
    kernel::enter();
    let result = perform(function);
    kernel::leave();
    result
}

/// Apart, so that its frame is not there yet when the driver's stack is measured.
#[inline(never)]
fn perform<T: Default>(function: impl FnOnce(&Arc<Ksecdd>) -> Checked<T>) -> T {
    function(&KSECDD).unwrap_or_else(|broken| {
        Kernel.stop(&broken);
        T::default()
    })
}

/// The module is loaded. Nothing may be waited for in here, but a thread may be made: it runs
/// once the loader is done.
#[unsafe(no_mangle)]
extern "system" fn DllMain(module: *mut c_void, reason: u32, _reserved: *mut c_void) -> i32 {
    if reason == DLL_PROCESS_ATTACH {
        let module = module.expose_provenance();
        thread::spawn(move || attach(module));
    }
    1
}

fn attach(module: usize) {
    // Its threads outlive the driver that imports the module, so it must stay loaded.
    let mut pinned = std::ptr::null_mut();
    // SAFETY: any address in the module will do, and its own is one.
    unsafe {
        GetModuleHandleExW(
            GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
            std::ptr::with_exposed_provenance(module),
            &raw mut pinned,
        )
    };
    // A stand-in that failed proves nothing: whatever thread it was, the machine stops.
    panic::set_hook(Box::new(|panic| {
        Kernel.stop(&Broken {
            rule: LAB_FAILED,
            detail: panic.to_string(),
        });
    }));
    if let Err(error) = control::serve(&KSECDD, Path::new(FOLDER)) {
        eprintln!("ksecdd.sys cannot be asked anything: {error:#}");
    }
}
