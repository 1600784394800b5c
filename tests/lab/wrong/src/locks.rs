//! Faults with spin locks and IRQL.

use crate::{
    faults::Fault,
    kmdf::{complete, delete, wdf},
    threads, tokens,
};
use core::ptr;
use wdk_sys::{WDFREQUEST, WDFSPINLOCK};

/// `DISPATCH_LEVEL`
const DISPATCH_LEVEL: u8 = 2;

unsafe extern "system" {
    /// What `KeRaiseIrql` is on x64.
    fn KfRaiseIrql(level: u8) -> u8;
}

/// Commits the fault if it is one with spin locks.
pub fn commit(fault: Fault, request: WDFREQUEST) {
    match fault {
        Fault::IrqlTooHigh => {
            acquire(create());
            tokens::capture();
        }
        Fault::WaitAtRaisedIrql => {
            acquire(create());
            threads::wait(ptr::null_mut());
        }
        Fault::DelayAtRaisedIrql => {
            acquire(create());
            threads::sleep();
        }
        Fault::SpinLockRecursion => {
            let lock = create();
            acquire(lock);
            acquire(lock);
        }
        Fault::SpinLockNotHeld => release(create()),
        Fault::LockOrder => {
            let (one, other) = (create(), create());
            acquire(one);
            acquire(other);
            release(other);
            release(one);
            acquire(other);
            acquire(one);
        }
        Fault::LockOrderOfThree => {
            let (one, two, three) = (create(), create(), create());
            for (outer, inner) in [(one, two), (two, three), (three, one)] {
                acquire(outer);
                acquire(inner);
                release(inner);
                release(outer);
            }
        }
        Fault::SpinLockDeletedHeld => {
            let lock = create();
            acquire(lock);
            delete(lock.cast());
        }
        Fault::IrqlChanged => {
            // SAFETY: raises the IRQL of this thread.
            _ = unsafe { KfRaiseIrql(DISPATCH_LEVEL) };
        }
        Fault::CompletedUnderSpinLock => {
            acquire(create());
            complete(request);
        }
        _ => (),
    }
}

/// A spin lock, which the driver object will delete.
pub fn create() -> WDFSPINLOCK {
    let mut lock: WDFSPINLOCK = ptr::null_mut();
    // SAFETY: the place for the result is ours.
    let _status = unsafe {
        wdf!(PFN_WDFSPINLOCKCREATE[WdfSpinLockCreateTableIndex](
            ptr::null_mut(),
            &raw mut lock
        ))
    };
    lock
}

/// Takes a spin lock.
pub fn acquire(lock: WDFSPINLOCK) {
    // SAFETY: none is meant: the lab judges the call.
    unsafe { wdf!(PFN_WDFSPINLOCKACQUIRE[WdfSpinLockAcquireTableIndex](lock)) };
}

/// Does something at DISPATCH_LEVEL.
pub fn raised(something: impl FnOnce()) {
    let lock = create();
    acquire(lock);
    something();
    release(lock);
}

fn release(lock: WDFSPINLOCK) {
    // SAFETY: none is meant: the lab judges the call.
    unsafe { wdf!(PFN_WDFSPINLOCKRELEASE[WdfSpinLockReleaseTableIndex](lock)) };
}
