//! Values in memory of a look-aside list, each with one owner: like a box, but what comes and goes with every
//! leg does not go through the pool.

use crate::nt::lookaside::{Lookaside, Memory};
use core::{
    marker::PhantomData,
    mem::{ManuallyDrop, offset_of},
    ops::{Deref, DerefMut},
    ptr::NonNull,
};
use tlsgate_protocol::NtStatus;

/// A list with memory for values of one type.
pub struct Stock<T> {
    list: Lookaside,
    _values: PhantomData<fn() -> T>,
}

/// The owner of a value in a list's memory. The value stays where it is.
pub struct Stored<T>(NonNull<Place<T>>, PhantomData<T>);

struct Place<T> {
    memory: Memory,
    value: T,
}

// SAFETY: as a box: a `Stored` owns its value.
unsafe impl<T: Send> Send for Stored<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Stored<T> {}

impl<T> Stock<T> {
    /// A list. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// What [`Lookaside::new`] says.
    pub fn new() -> Result<Self, NtStatus> {
        // Structures with pointers and 64-bit numbers are what such memory is for.
        const { assert!(align_of::<Place<T>>() <= 8) };
        Ok(Self {
            list: Lookaside::new(size_of::<Place<T>>())?,
            _values: PhantomData,
        })
    }

    /// Puts a value into memory of the list. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// There is no memory; the value comes back.
    pub fn store(&self, value: T) -> Result<Stored<T>, T> {
        let Some((memory, start)) = self.list.take() else {
            return Err(value);
        };
        let place = start.cast::<Place<T>>();
        // SAFETY: fresh memory of the place's size, aligned for it; see `new`.
        unsafe { place.write(Place { memory, value }) };
        Ok(Stored(place, PhantomData))
    }
}

impl<T> Stored<T> {
    /// Gives the ownership to a raw pointer; [`Self::from_raw`] must take it back.
    pub fn into_raw(self) -> *mut T {
        let place = ManuallyDrop::new(self).0.as_ptr();
        // SAFETY: the place is alive: its owner was just taken over.
        unsafe { &raw mut (*place).value }
    }

    /// Takes back what [`Self::into_raw`] gave.
    ///
    /// # Safety
    ///
    /// `raw` came from `into_raw` and is taken back once.
    pub unsafe fn from_raw(raw: *mut T) -> Self {
        // SAFETY: `raw` points at the `value` of a `Place<T>` (this function's contract).
        let place = unsafe { raw.byte_sub(offset_of!(Place<T>, value)) };
        // SAFETY: it came from a `NonNull`.
        Self(unsafe { NonNull::new_unchecked(place.cast()) }, PhantomData)
    }

    /// The value; its memory goes back to the list first.
    pub fn into_inner(self) -> T {
        let place = ManuallyDrop::new(self).0;
        // SAFETY: the owner was just taken over, so the place is read once, and its memory is not used
        // after.
        let Place { memory, value } = unsafe { place.read() };
        drop(memory);
        value
    }

    /// Never frees it: for what somebody may yet use, whatever went wrong.
    pub fn leak(self) {
        let _forever = ManuallyDrop::new(self);
    }
}

impl<T> Deref for Stored<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the place is alive while its owner is.
        let place = unsafe { self.0.as_ref() };
        &place.value
    }
}

impl<T> DerefMut for Stored<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the owner is borrowed exclusively.
        let place = unsafe { self.0.as_mut() };
        &mut place.value
    }
}

impl<T> Drop for Stored<T> {
    fn drop(&mut self) {
        // SAFETY: the place is read once, by its owner's end, and not used after. The memory goes before the
        // value: what that lets go of may be the last that keeps the driver, and with it the list.
        let Place { memory, value } = unsafe { self.0.read() };
        drop(memory);
        drop(value);
    }
}
