//! Thin wrappers over the KMDF functions in use: ownership and types, no decisions.

pub mod call;
pub mod control_device;
pub mod object;
pub mod registry;
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

/// `BOOLEAN`s and processor modes cross into C as bytes.
pub const NO: u8 = 0;
/// As above.
pub const YES: u8 = 1;

/// UTF-16 of an ASCII text of N characters, at compile time.
#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
#[expect(clippy::arithmetic_side_effects, reason = "evaluated at compile time")]
pub const fn utf16<const N: usize>(text: &str) -> [u16; N] {
    let (bytes, mut units, mut index) = (text.as_bytes(), [0; N], 0);
    assert!(bytes.len() == N);
    while index < N {
        units[index] = bytes[index] as u16;
        index += 1;
    }
    units
}
