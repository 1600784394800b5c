//! Threads that sleep until another one wakes them, as quickly as a kernel's do.
//!
//! Wine keeps those who sleep on an address (`WaitOnAddress`) in queues behind locks that spin. On a machine whose
//! processors are all taken, a thread that loses its own within one has the others spin for milliseconds; a quarter
//! of the time of a benchmark went there. A set of bits needs no lock.

use crate::{mine::Mine, stop::lab_failed};
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use windows_sys::Win32::{Foundation::NTSTATUS, System::Threading::GetCurrentThreadId};

#[link(name = "ntdll.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    /// Until [`NtAlertThreadByThreadId`], or at once if that was before.
    fn NtWaitForAlertByThreadId(address: usize, timeout: *const i64) -> NTSTATUS;
    fn NtAlertThreadByThreadId(thread: usize) -> NTSTATUS;
}

/// Threads that ever slept here: a bit for each.
const MOST: u32 = u64::BITS;

/// Their ids, by place.
static THREADS: [AtomicU32; MOST as usize] = [const { AtomicU32::new(0) }; MOST as usize];
static NEXT: AtomicU32 = AtomicU32::new(0);

static PLACE: Mine<u64> = Mine::new(take_place);

/// The threads that sleep for one reason: a bit for each.
#[derive(Default)]
#[repr(transparent)]
pub struct Sleepers(AtomicU64);

impl Sleepers {
    /// Sleeps until woken, or for no reason, unless there is no need to any more.
    pub fn sleep(&self, is_needed: impl Fn() -> bool) {
        let mine = 1 << *PLACE.get();
        self.0.fetch_or(mine, SeqCst);
        // Whoever ends the need either sees the bit, or has done so before this looks.
        if is_needed() {
            // SAFETY: takes numbers, and no time-out.
            unsafe { NtWaitForAlertByThreadId(0, std::ptr::null()) };
        }
        self.0.fetch_and(!mine, SeqCst);
    }

    /// Whether anybody sleeps.
    pub fn are_there(&self) -> bool {
        self.0.load(SeqCst) != 0
    }

    /// Wakes one.
    pub fn wake_one(&self) {
        let without_lowest = |sleepers: u64| Some(sleepers & sleepers.wrapping_sub(1));
        let before = self.0.fetch_update(SeqCst, SeqCst, without_lowest);
        let before = before.unwrap_or_else(|unchanged| unchanged);
        if before != 0 {
            wake(before.trailing_zeros());
        }
    }

    /// Wakes all.
    pub fn wake_all(&self) {
        let sleepers = self.0.swap(0, SeqCst);
        (0..MOST)
            .filter(|place| sleepers & (1 << place) != 0)
            .for_each(wake);
    }
}

fn take_place() -> u64 {
    let place = NEXT.fetch_add(1, Relaxed);
    let Some(thread) = THREADS.get(place as usize) else {
        lab_failed!("more than {MOST} threads sleep");
    };
    // SAFETY: takes nothing.
    thread.store(unsafe { GetCurrentThreadId() }, Relaxed);
    place.into()
}

fn wake(place: u32) {
    if let Some(thread) = THREADS.get(place as usize) {
        // SAFETY: takes a number. A thread that does not sleep any more returns from its next sleep at once, and
        // one that has ended is not found.
        unsafe { NtAlertThreadByThreadId(thread.load(Relaxed) as usize) };
    }
}
