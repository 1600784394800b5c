//! An exception that nobody handles, and a panic of the stand-in itself, are STOPs too.

use crate::stop::{lab_failed, module, stop_at};
use std::panic;
use windows_sys::Win32::System::Diagnostics::Debug::{
    EXCEPTION_POINTERS, EXCEPTION_RECORD, SetUnhandledExceptionFilter,
};

/// Watches the whole process from now on.
pub fn watch() {
    // SAFETY: `filter` has the signature asked for and lives as long as the process: the module is
    // pinned.
    unsafe { SetUnhandledExceptionFilter(Some(filter)) };
    panic::set_hook(Box::new(|panic| {
        lab_failed!("{}", panic.to_string().replace('\n', " "));
    }));
}

/// Reports where the exception happened. The stack of the faulting thread is still there, so its
/// callers are told as well.
unsafe extern "system" fn filter(pointers: *const EXCEPTION_POINTERS) -> i32 {
    // SAFETY: Windows passes valid pointers to a filter.
    let pointers = unsafe { pointers.read() };
    // SAFETY: likewise.
    let record: EXCEPTION_RECORD = unsafe { pointers.ExceptionRecord.read() };
    let address = record.ExceptionAddress as usize;
    let place = module(address).map_or_else(
        || format!("{address:#x}"),
        |(name, offset)| format!("{name}+{offset:#x}"),
    );
    // SAFETY: the context is that of the faulting thread, readable as long as the filter runs.
    let stack = unsafe { (*pointers.ContextRecord).Rsp };
    let detail = format!(
        "{:#010x} at {place}, accessing {:#x}",
        record.ExceptionCode, record.ExceptionInformation[1]
    );
    stop_at("exception", &detail, &scan(stack))
}

/// What may be return addresses on the stack of the faulting thread: its words. Those that point
/// into drivers are told; unwinding would need the tables of code that has just gone wrong.
fn scan(stack: u64) -> Vec<usize> {
    /// Words looked at; the stack of any thread is deeper than this.
    const WORDS: u64 = 256;
    (0..WORDS)
        .map(|word| {
            let slot = (stack + word * 8) as *const usize;
            // SAFETY: within the faulting thread's committed stack.
            unsafe { slot.read_volatile() }
        })
        .collect()
}
