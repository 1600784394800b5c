//! What the driver uses of ntoskrnl: threads, events, tokens, look-aside lists, tracing, the IRQL.

pub mod etw;
pub mod event;
pub mod image;
pub mod lookaside;
pub mod thread;
pub mod token;

use tlsgate_protocol::NtStatus;

/// `KernelMode`, as the functions take it.
const KERNEL_MODE: i8 = 0;

/// A [`Result`] of an `NTSTATUS`.
///
/// # Errors
///
/// The status is not a success.
pub fn check(status: wdk_sys::NTSTATUS) -> Result<(), NtStatus> {
    let status = NtStatus(status);
    if status.is_success() {
        Ok(())
    } else {
        Err(status)
    }
}

/// The current IRQL. Any IRQL.
pub fn irql() -> u8 {
    // SAFETY: takes nothing and reads a register.
    unsafe { wdk_sys::ntddk::KeGetCurrentIrql() }
}

/// Interrupt time to the microsecond, in units of 100 ns, for measuring: it goes on while the machine
/// sleeps. IRQL: any.
pub fn precise_time() -> u64 {
    let mut performance_counter = 0;
    // SAFETY: the number is ours to write.
    unsafe { wdk_sys::ntddk::KeQueryInterruptTimePrecise(&raw mut performance_counter) }
}

/// Interrupt time without the time that the machine slept, in units of 100 ns. It moves with the
/// system's clock, some milliseconds at a time. IRQL: any.
pub fn unbiased_time() -> u64 {
    // SAFETY: takes nothing.
    unsafe { wdk_sys::ntddk::KeQueryUnbiasedInterruptTime() }
}
