//! The driver's system threads: counted, and looked at when they end.

use crate::{
    ffi::Out,
    irql,
    layout::NtStatus,
    ledger::{self, Whose},
    reference, spinlock, stack,
    stop::stop,
    token,
};
use std::sync::atomic::{AtomicUsize, Ordering};

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn PsCreateSystemThread(
        handle: *mut usize,
        access: u32,
        attributes: usize,
        process: usize,
        client: usize,
        start: extern "system" fn(usize),
        context: usize,
    ) -> NtStatus;
    fn PsTerminateSystemThread(status: NtStatus) -> NtStatus;
}

/// `KSTART_ROUTINE`
pub type Start = extern "system" fn(usize);

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// How many run.
pub fn running() -> usize {
    RUNNING.load(Ordering::Acquire)
}

/// `PsCreateSystemThread`
pub fn create(
    result: Out<usize>,
    access: u32,
    attributes: usize,
    process: usize,
    client: usize,
    start: Start,
    context: usize,
) -> NtStatus {
    let begin = Box::into_raw(Box::new((start, context)));
    let mut handle = 0;
    RUNNING.fetch_add(1, Ordering::AcqRel);
    // SAFETY: as the driver asked, but for the start routine, which takes the box over.
    let status = unsafe {
        PsCreateSystemThread(
            &raw mut handle,
            access,
            attributes,
            process,
            client,
            begin_thread,
            begin as usize,
        )
    };
    if status < 0 {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
        // SAFETY: no thread, so the box is still ours.
        drop(unsafe { Box::from_raw(begin) });
    } else {
        reference::handle_opened(handle);
        result.set(handle);
    }
    status
}

extern "system" fn begin_thread(begin: usize) {
    // SAFETY: `create` made the box for this thread alone.
    let begin = unsafe { Box::from_raw(begin as *mut (Start, usize)) };
    let (start, context) = *begin;
    ledger::of(Whose::Driver, || {
        stack::measured("system thread", || start(context));
    });
    end();
}

/// `PsTerminateSystemThread`
pub fn terminate(status: NtStatus) -> NtStatus {
    end();
    // SAFETY: ends the calling thread, which holds nothing of the stand-in's.
    unsafe { PsTerminateSystemThread(status) }
}

/// The thread is at its end; what it must not leave behind.
fn end() {
    if token::current().is_some() {
        stop!("left-impersonating", "a system thread ends with a token");
    }
    if spinlock::held() > 0 {
        stop!("spin-lock-held", "a system thread ends with a spin lock");
    }
    if irql::current() != irql::PASSIVE {
        stop!(
            "irql-changed",
            "a system thread ends at {}",
            irql::name(irql::current())
        );
    }
    RUNNING.fetch_sub(1, Ordering::AcqRel);
}
