//! The allocator of the lab's stand-ins where they are measured: mimalloc.
//!
//! Wine's heap has one lock, which spins: threads that share it on two processors lose up to half of their time there.
//! A benchmark has an allocator without one, on both sides of each comparison. It is the engine's and the stand-ins'
//! only: the driver's pool and look-aside lists are others.
#![cfg(windows)]

pub use mimalloc::MiMalloc as Allocator;

unsafe extern "C" {
    /// What mimalloc's constructor does, which nobody calls in a module that Wine loads as a driver's: until then,
    /// every look at an option asks for an environment variable.
    fn _mi_auto_process_init();
}

/// Once in every module with this allocator, before anything is measured.
pub fn start() {
    /// `mi_option_purge_delay` of mimalloc.h: when memory is given back to the system.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    const NEVER: std::ffi::c_long = -1;
    // SAFETY: meant to be called when some memory is in use already; no other thread measures yet.
    unsafe { _mi_auto_process_init() };
    // SAFETY: takes numbers.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, NEVER) };
}
