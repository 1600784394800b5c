//! Values with several owners, like `Arc`, but fallible; in memory of a look-aside list, or in the pool.

use crate::{
    memory::try_box,
    nt::lookaside::{Lookaside, Memory},
};
use alloc::boxed::Box;
use core::{
    marker::PhantomData,
    mem::{ManuallyDrop, MaybeUninit, offset_of},
    ops::Deref,
    ptr::NonNull,
    sync::atomic::{AtomicUsize, Ordering, fence},
};
use tlsgate_protocol::NtStatus;

/// A counted owner of a value.
pub struct Shared<T>(NonNull<Counted<T>>, PhantomData<T>);

/// A list with memory for shared values of one type: for what comes and goes with every leg.
pub struct SharedStock<T> {
    list: Lookaside,
    _values: PhantomData<fn() -> T>,
}

struct Counted<T> {
    owners: AtomicUsize,
    /// The list's memory that this is in; `None` in the pool.
    memory: Option<Memory>,
    value: T,
}

// SAFETY: a `Shared` gives `&T` on any thread and may drop the T there, as `Arc` does.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> SharedStock<T> {
    /// A list. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// What [`Lookaside::new`] says.
    pub fn new() -> Result<Self, NtStatus> {
        // Structures with pointers and 64-bit numbers are what such memory is for.
        const { assert!(align_of::<Counted<T>>() <= 8) };
        Ok(Self {
            list: Lookaside::new(size_of::<Counted<T>>())?,
            _values: PhantomData,
        })
    }

    /// The first owner of `value`, in memory of the list. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// There is no memory; the value comes back.
    pub fn share(&self, value: T) -> Result<Shared<T>, T> {
        let Some((memory, start)) = self.list.take() else {
            return Err(value);
        };
        let counted = start.cast::<Counted<T>>();
        // SAFETY: fresh memory of this size, aligned for it; see `new`.
        unsafe {
            counted.write(Counted {
                owners: AtomicUsize::new(1),
                memory: Some(memory),
                value,
            });
        }
        Ok(Shared(counted, PhantomData))
    }
}

impl<T> Shared<T> {
    /// The first owner of `value`, in the pool: for what there is once a handle, or a credential. IRQL: up to
    /// DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// The pool is empty; the value comes back.
    pub fn try_new(value: T) -> Result<Self, T> {
        match try_box(Counted {
            owners: AtomicUsize::new(1),
            memory: None,
            value,
        }) {
            Ok(counted) => Ok(Self(NonNull::from(Box::leak(counted)), PhantomData)),
            Err(counted) => Err(counted.value),
        }
    }

    /// Gives the ownership to a raw pointer; [`Self::from_raw`] must take it back.
    pub fn into_raw(self) -> *mut T {
        let counted = ManuallyDrop::new(self).0.as_ptr();
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
        let counted = unsafe { raw.byte_sub(offset_of!(Counted<T>, value)) };
        // SAFETY: it came from a `NonNull`.
        Self(
            unsafe { NonNull::new_unchecked(counted.cast()) },
            PhantomData,
        )
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // SAFETY: the value lives as long as any owner, and `self` is one.
        let counted = unsafe { self.0.as_ref() };
        // Ids and quotas bound the owners far below `usize::MAX`.
        counted.owners.fetch_add(1, Ordering::Relaxed);
        Self(self.0, PhantomData)
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
        if counted.owners.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        // Sees all that the other owners did before they let go.
        fence(Ordering::Acquire);
        // SAFETY: no owner is left: it is read once, and not used after.
        let Counted { memory, value, .. } = unsafe { self.0.read() };
        // The memory goes before the value: what that lets go of may be the last that keeps the driver, and
        // with it the list.
        if let Some(memory) = memory {
            drop(memory);
        } else {
            let emptied = self.0.cast::<MaybeUninit<Counted<T>>>();
            // SAFETY: made by `try_box`; what was in it has been read.
            drop(unsafe { Box::from_raw(emptied.as_ptr()) });
        }
        drop(value);
    }
}
