//! Time, processors, and whose code an address is.

use crate::ffi::Out;
use std::{sync::LazyLock, time::Instant};
use windows_sys::Win32::System::WindowsProgramming::QueryUnbiasedInterruptTime;

#[link(name = "ntdll.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn RtlPcToFileHeader(address: usize, base: *mut usize) -> usize;
}

/// `KeQueryUnbiasedInterruptTime`: 100 ns units, without the time that the machine slept.
pub fn unbiased() -> u64 {
    let mut time = 0;
    // SAFETY: the result has its place; the function fails for a NULL only.
    unsafe { QueryUnbiasedInterruptTime(&raw mut time) };
    time
}

/// `KeQueryInterruptTimePrecise`: 100 ns units, and the performance counter that it was made of.
pub fn precise(counter: Out<u64>) -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let time = u64::try_from(START.elapsed().as_nanos() / 100).unwrap_or(u64::MAX);
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
