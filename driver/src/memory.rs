//! Fallible heap ownership: boxes and lists that may not be had.
//!
//! `Box::new` and the like end in a bug check when the pool is empty; nothing here does. Freeing is
//! legal up to DISPATCH_LEVEL (`ExFreePool`), so values may be dropped in a callback, as long as
//! their own drop does nothing that needs more.

use alloc::{
    alloc::{alloc, alloc_zeroed},
    boxed::Box,
    vec::Vec,
};
use core::{alloc::Layout, ptr::NonNull};
use tlsgate_core::room;

/// What the pool aligns to; `WdkAllocator` ignores a larger alignment.
const POOL_ALIGNMENT: usize = 16;

/// A box, or the value back when there is no memory.
///
/// # IRQL
///
/// Up to DISPATCH_LEVEL: `WdkAllocator` allocates from the nonpaged pool.
///
/// # Errors
///
/// The pool is empty.
pub fn try_box<T>(value: T) -> Result<Box<T>, T> {
    const {
        assert!(
            align_of::<T>() <= POOL_ALIGNMENT,
            "the pool cannot align this"
        );
        assert!(size_of::<T>() > 0, "nothing to allocate");
    };
    // SAFETY: the layout's size is not 0, asserted above.
    let raw = unsafe { alloc(Layout::new::<T>()) };
    let Some(place) = NonNull::new(raw.cast::<T>()) else {
        return Err(value);
    };
    // SAFETY: `place` is fresh memory of T's layout.
    unsafe { place.write(value) };
    // SAFETY: `place` was allocated by the global allocator with T's layout and holds a T.
    Ok(unsafe { Box::from_raw(place.as_ptr()) })
}

/// `length` bytes of 0. IRQL: up to DISPATCH_LEVEL. `None` when there is no memory.
pub fn try_zeroed(length: usize) -> Option<Box<[u8]>> {
    if length == 0 {
        return Some(Box::default());
    }
    let layout = Layout::array::<u8>(length).ok()?;
    // SAFETY: the layout's size is not 0.
    let place = NonNull::new(unsafe { alloc_zeroed(layout) })?;
    let bytes = NonNull::slice_from_raw_parts(place, length);
    // SAFETY: allocated by the global allocator with the layout of these bytes, and initialised.
    Some(unsafe { Box::from_raw(bytes.as_ptr()) })
}

/// An empty list with room for `capacity` values (`tlsgate_core::room::push` fills it). IRQL and failure
/// as above.
pub fn try_list<T>(capacity: usize) -> Option<Vec<T>> {
    const { assert!(align_of::<T>() <= POOL_ALIGNMENT) };
    let mut list = Vec::new();
    list.try_reserve_exact(capacity).ok()?;
    Some(list)
}

/// UTF-16 of an ASCII text. IRQL and failure as above.
pub fn try_widen(text: &[u8]) -> Option<Vec<u16>> {
    let mut units = try_list(text.len())?;
    for byte in text {
        room::push(&mut units, u16::from(*byte)).ok()?;
    }
    Some(units)
}

/// Sets bytes to 0 that nobody is to read any more. `Zeroize::zeroize` writes them one by one, which for a
/// request of a MiB takes as long as opening its records.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    // Or the compiler leaves out what it believes to be without effect.
    zeroize::optimization_barrier(bytes);
}
