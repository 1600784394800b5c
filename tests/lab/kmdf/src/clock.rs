//! Time, processors, and whose code an address is.

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

/// `KeQueryActiveProcessorCountEx`
pub fn processors(_group: u16) -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1))
}

/// `RtlPcToFileHeader`: where the image starts that an address lies in; 0 for none.
pub fn file_header(address: usize, result: crate::ffi::Out<usize>) -> usize {
    let mut base = 0;
    // SAFETY: the address is only compared, and the result has its place.
    let found = unsafe { RtlPcToFileHeader(address, &raw mut base) };
    result.set(base);
    found
}
