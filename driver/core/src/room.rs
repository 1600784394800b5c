//! A push that cannot allocate.

use alloc::vec::Vec;

/// Pushes within the capacity that was reserved before.
///
/// # Errors
///
/// The value comes back when there is no room.
#[expect(
    clippy::disallowed_methods,
    reason = "cannot allocate: see the line before"
)]
pub fn push<T>(values: &mut Vec<T>, value: T) -> Result<(), T> {
    // Said here so that the compiler sees it, too, and links no panic.
    if values.len() == values.capacity() {
        return Err(value);
    }
    values.push(value);
    Ok(())
}
