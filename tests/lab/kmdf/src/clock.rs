//! Time, processors, and whose code an address is.

use crate::{ffi::Out, timer, wait};
use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use windows_sys::Win32::System::WindowsProgramming::QueryUnbiasedInterruptTime;

#[link(name = "ntdll.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn RtlPcToFileHeader(address: usize, base: *mut usize) -> usize;
}

/// Units of interrupt time, 100 ns, in a millisecond.
const MILLISECOND: u64 = 10_000;

/// What tests have let pass, and let be slept; in units of 100 ns.
static ADVANCED: AtomicU64 = AtomicU64::new(0);
static SLEPT: AtomicU64 = AtomicU64::new(0);

/// Lets time pass at once: whatever becomes due within is due.
pub fn advance(milliseconds: u64) {
    ADVANCED.fetch_add(milliseconds.saturating_mul(MILLISECOND), Ordering::AcqRel);
    wait::time_has_passed();
    timer::time_has_passed();
}

/// Lets the machine have slept.
pub fn sleep(milliseconds: u64) {
    SLEPT.fetch_add(milliseconds.saturating_mul(MILLISECOND), Ordering::AcqRel);
}

/// `KeQueryUnbiasedInterruptTime`: 100 ns units, without the time that the machine slept.
pub fn unbiased() -> u64 {
    let mut time = 0;
    // SAFETY: the result has its place; the function fails for a NULL only.
    unsafe { QueryUnbiasedInterruptTime(&raw mut time) };
    time + ADVANCED.load(Ordering::Acquire)
}

/// `KeQueryInterruptTime`: the same with the time that the machine slept.
pub fn interrupt() -> u64 {
    unbiased() + SLEPT.load(Ordering::Acquire)
}

/// `KeQueryInterruptTimePrecise`: finer, with the time that the machine slept; and the performance counter that it was made of.
pub fn interrupt_precise(counter: Out<u64>) -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let elapsed = u64::try_from(START.elapsed().as_nanos() / 100).unwrap_or(u64::MAX);
    let passed = ADVANCED.load(Ordering::Acquire) + SLEPT.load(Ordering::Acquire);
    let time = elapsed.saturating_add(passed);
    counter.set(time);
    time
}

/// `KeQueryActiveProcessorCountEx`
pub fn processors(_group: u16) -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1))
}

/// `RtlPcToFileHeader`: where the image starts that an address lies in; 0 for none.
pub fn file_header(address: usize, result: Out<usize>) -> usize {
    let mut base = 0;
    // SAFETY: the address is only compared, and the result has its place.
    let found = unsafe { RtlPcToFileHeader(address, &raw mut base) };
    result.set(base);
    found
}
