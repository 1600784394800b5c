//! Fallible heap ownership: a box that may not be had, and a counted one.
//!
//! `Box::new` and `Arc` end in a bug check when the pool is empty; nothing here does. Freeing is
//! legal up to DISPATCH_LEVEL (`ExFreePool`), so values may be dropped in a callback, as long as
//! their own drop does nothing that needs more.

use alloc::{
    alloc::{alloc, alloc_zeroed},
    boxed::Box,
    vec::Vec,
};
use core::{
    alloc::Layout,
    ops::Deref,
    ptr::NonNull,
    sync::atomic::{AtomicUsize, Ordering, fence},
};
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

/// A copy of `parts`, one behind the other. IRQL and failure as above.
pub fn try_concat(parts: &[&[u8]]) -> Option<Box<[u8]>> {
    let length = parts
        .iter()
        .fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    let mut bytes = try_zeroed(length)?;
    for (place, byte) in bytes.iter_mut().zip(parts.iter().copied().flatten()) {
        *place = *byte;
    }
    Some(bytes)
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

/// A counted owner of a value on the heap, like `Arc`, but fallible.
pub struct Shared<T>(NonNull<Counted<T>>);

struct Counted<T> {
    owners: AtomicUsize,
    value: T,
}

// SAFETY: a `Shared` gives `&T` on any thread and may drop the T there, as `Arc` does.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The first owner of `value`, or the value back when there is no memory.
    ///
    /// # Errors
    ///
    /// The pool is empty.
    pub fn try_new(value: T) -> Result<Self, T> {
        match try_box(Counted {
            owners: AtomicUsize::new(1),
            value,
        }) {
            Ok(counted) => Ok(Self(NonNull::from(Box::leak(counted)))),
            Err(counted) => Err(counted.value),
        }
    }

    /// Gives the ownership to a raw pointer; [`Self::from_raw`] must take it back.
    pub fn into_raw(self) -> *mut T {
        let counted = core::mem::ManuallyDrop::new(self).0.as_ptr();
        // SAFETY: `counted` is alive: its owner was just taken over.
        unsafe { &raw mut (*counted).value }
    }

    /// Takes back what [`Self::into_raw`] gave.
    ///
    /// # Safety
    ///
    /// `raw` came from `into_raw` and is taken back once.
    pub unsafe fn from_raw(raw: *mut T) -> Self {
        // SAFETY: `raw` points at the `value` of a `Counted<T>` (this function's contract).
        let counted = unsafe { raw.byte_sub(core::mem::offset_of!(Counted<T>, value)) };
        // SAFETY: it came from a `NonNull`.
        Self(unsafe { NonNull::new_unchecked(counted.cast()) })
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // SAFETY: the value lives as long as any owner, and `self` is one.
        let counted = unsafe { self.0.as_ref() };
        // Ids and quotas bound the owners far below `usize::MAX`.
        counted.owners.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the value lives as long as any owner, and `self` is one.
        let counted = unsafe { self.0.as_ref() };
        &counted.value
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the value lives as long as any owner, and `self` is one.
        let counted = unsafe { self.0.as_ref() };
        if counted.owners.fetch_sub(1, Ordering::Release) == 1 {
            // Sees all that the other owners did before they let go.
            fence(Ordering::Acquire);
            // SAFETY: made by `try_box`; no owner is left.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}
