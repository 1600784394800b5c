//! A value behind a framework spin lock.
//!
//! Callbacks of ksecdd may come at DISPATCH_LEVEL, so what they share with others is under spin
//! locks. The holder runs at DISPATCH_LEVEL: short work, nothing pageable, no other lock.

use super::{call::wdf, object};
use crate::nt;
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr,
};
use tlsgate_protocol::NtStatus;
use wdk_sys::WDFSPINLOCK;

/// A value that one thread at a time may touch.
pub struct SpinLock<T> {
    lock: WDFSPINLOCK,
    value: UnsafeCell<T>,
}

// SAFETY: the lock lets one thread at a time at the value.
unsafe impl<T: Send> Send for SpinLock<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// Makes the lock, a child of the driver object. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// What `WdfSpinLockCreate` says.
    pub fn new(value: T) -> Result<Self, NtStatus> {
        let mut lock: WDFSPINLOCK = ptr::null_mut();
        // SAFETY: `lock` is ours to write; no attributes means the driver is its parent.
        nt::check(unsafe {
            wdf!(PFN_WDFSPINLOCKCREATE[WdfSpinLockCreateTableIndex](
                ptr::null_mut(),
                &raw mut lock
            ))
        })?;
        Ok(Self {
            lock,
            value: UnsafeCell::new(value),
        })
    }

    /// Takes the lock until the guard is dropped. IRQL: up to DISPATCH_LEVEL; raises to it.
    pub fn lock(&self) -> Guard<'_, T> {
        // SAFETY: the lock lives as long as `self`.
        unsafe {
            wdf!(PFN_WDFSPINLOCKACQUIRE[WdfSpinLockAcquireTableIndex](
                self.lock
            ));
        };
        Guard(self, PhantomData)
    }
}

impl<T> Drop for SpinLock<T> {
    fn drop(&mut self) {
        // SAFETY: made by `new`; no guard is left, as guards borrow `self`.
        unsafe { object::delete(self.lock.cast()) };
    }
}

/// The lock is held, by this thread.
pub struct Guard<'a, T>(&'a SpinLock<T>, PhantomData<*mut ()>);

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, and the guard is borrowed exclusively.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: this thread took the lock when the guard was made.
        unsafe {
            wdf!(PFN_WDFSPINLOCKRELEASE[WdfSpinLockReleaseTableIndex](
                self.0.lock
            ));
        };
    }
}
