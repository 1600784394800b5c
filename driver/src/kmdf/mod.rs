//! Thin wrappers over the KMDF functions in use: ownership and types, no decisions.

pub mod call;
pub mod control_device;
pub mod lookaside;
pub mod object;
pub mod request;
pub mod spin_lock;

use tlsgate_protocol::NtStatus;

/// Status codes cross into C as plain numbers.
pub const fn raw(status: NtStatus) -> wdk_sys::NTSTATUS {
    status.0
}

/// A structure's size as KMDF's `Size` fields have it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "no KMDF structure is near 4 GiB"
)]
pub const fn size<T>() -> wdk_sys::ULONG {
    size_of::<T>() as wdk_sys::ULONG
}
