//! One `SspiAsyncContext`: made once, reused for every call, with its operation inside ksecdd.
//!
//! The rules it keeps, from Microsoft's documentation of `SspiCreateAsyncContext`,
//! `SspiReinitAsyncContext`, `SspiSetAsyncNotifyCallback` and `SspiFreeAsyncContext`:
//!
//! * one call at a time; `SspiReinitAsyncContext` between calls keeps callback and data;
//! * the call's own return value says whether it was queued; the result comes from
//!   `SspiGetAsyncCallStatus`, in the callback;
//! * it is freed only when no call is inside and the last callback has been invoked.
//!
//! There is no cancel. Whether a refused call can call back is not documented: the operation goes
//! to whoever asks first (`tlsgate_core::slot`), and the caller must [quarantine] the context.
//!
//! [quarantine]: crate::gate::Gate::quarantine

use super::status;
use crate::{memory::Shared, nt};
use alloc::boxed::Box;
use core::{
    cell::UnsafeCell,
    ffi::c_void,
    ptr::{self, NonNull},
    sync::atomic::{AtomicUsize, Ordering},
};
use tlsgate_core::slot::{Call, CallSlot};
use tlsgate_protocol::SecurityStatus;
use wdk_sys::{
    SECURITY_STATUS, SspiAsyncContext,
    ntddk::{
        SspiCreateAsyncContext, SspiFreeAsyncContext, SspiGetAsyncCallStatus,
        SspiReinitAsyncContext, SspiSetAsyncNotifyCallback,
    },
};

/// An operation that can be inside ksecdd.
pub trait Completed: Send {
    /// A call has completed with `status`. Runs in SSPI's callback: any thread, IRQL up to
    /// DISPATCH_LEVEL. Must not issue, wait or impersonate.
    fn completed(self: Box<Self>, status: SecurityStatus);

    /// A callback came and no operation was inside.
    fn stray();
}

/// An async context. To be dropped at PASSIVE_LEVEL, without a call inside.
pub struct AsyncContext<T: Completed> {
    raw: NonNull<SspiAsyncContext>,
    block: Shared<Block<T>>,
    used: bool,
    /// The next one in quarantine.
    pub next: Option<Box<Self>>,
}

/// What the callback finds: it outlives the async context for as long as a call's issuer is still
/// on its way out.
struct Block<T> {
    slot: CallSlot<AtomicUsize>,
    /// The operation of the call that the slot holds.
    operation: UnsafeCell<Option<Box<T>>>,
    /// The thread that the last callback ran on.
    called_back_on: AtomicUsize,
}

// SAFETY: ksecdd's object may be used from any thread, one at a time; `&AsyncContext` gives nothing.
unsafe impl<T: Completed> Send for AsyncContext<T> {}
// SAFETY: as above.
unsafe impl<T: Completed> Sync for AsyncContext<T> {}
// SAFETY: the operation is reached only by whoever armed or took the slot.
unsafe impl<T: Send> Send for Block<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Block<T> {}

/// What became of a call.
pub enum Issued<T> {
    /// It was queued; the callback has the operation, or had it already.
    Accepted(When),
    /// It was refused: the operation is back, and no callback will find it.
    Refused(Box<T>, SecurityStatus),
    /// It was refused, and a callback took the operation all the same.
    RefusedYetCalledBack,
}

/// When a queued call completed, as its issuer saw it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before it returned, on the issuing thread.
    Inline,
    /// Before it returned, on another thread.
    Early,
    /// Not before it returned.
    Late,
}

/// A context made ready for one call.
pub struct Ready<T: Completed> {
    raw: NonNull<SspiAsyncContext>,
    block: Shared<Block<T>>,
}

impl<T: Completed> AsyncContext<T> {
    /// Makes a context. IRQL: PASSIVE_LEVEL. `None` when there is no memory.
    pub fn new() -> Option<Self> {
        let block = Block {
            slot: CallSlot::new(),
            operation: UnsafeCell::new(None),
            called_back_on: AtomicUsize::new(0),
        };
        let block = Shared::try_new(block).ok()?;
        // SAFETY: takes nothing.
        let raw = NonNull::new(unsafe { SspiCreateAsyncContext() })?;
        let context = Self {
            raw,
            block,
            used: false,
            next: None,
        };
        // SAFETY: the context is new; the data is the block's address, which stays where it is
        // while the context lives, and the context is freed only when nothing calls back any more.
        let set = unsafe {
            SspiSetAsyncNotifyCallback(
                raw.as_ptr(),
                Some(notify::<T>),
                ptr::from_ref::<Block<T>>(&context.block)
                    .cast_mut()
                    .cast::<c_void>(),
            )
        };
        (status(set) == SecurityStatus::SEC_E_OK).then_some(context)
    }

    /// Makes the context ready for another call. IRQL: PASSIVE_LEVEL, never in a callback.
    /// `None` when `SspiReinitAsyncContext` refuses: use a fresh one.
    pub fn ready(&mut self) -> Option<Ready<T>> {
        if self.used {
            // SAFETY: the context is alive, and its last call has completed: its operation, which
            // holds the right to be here, came back by its callback.
            nt::check(unsafe { SspiReinitAsyncContext(self.raw.as_ptr()) }).ok()?;
        }
        self.used = true;
        Some(Ready {
            raw: self.raw,
            block: self.block.clone(),
        })
    }
}

impl<T: Completed> Drop for AsyncContext<T> {
    fn drop(&mut self) {
        // SAFETY: made by `new`, not freed before. No call is inside: an operation inside ksecdd
        // owns the use right of its context, and who drops this holds that right.
        unsafe { SspiFreeAsyncContext(self.raw.as_ptr()) };
    }
}

impl<T: Completed> Ready<T> {
    /// Makes one call of the family. `operation` owns everything whose address the call gets; it
    /// is gone from here until the callback, or until it comes back refused.
    ///
    /// # IRQL
    ///
    /// PASSIVE_LEVEL, on an issuer's thread, never in a callback.
    ///
    /// # Safety
    ///
    /// `call` makes exactly one asynchronous call with the context it is given, and every address
    /// it passes lies in `operation`'s own heap memory, or in what `operation` keeps alive.
    pub unsafe fn issue(
        self,
        operation: Box<T>,
        call: impl FnOnce(*mut SspiAsyncContext) -> SECURITY_STATUS,
    ) -> Issued<T> {
        let thread = nt::thread::current();
        // SAFETY: the slot is idle (the use right is ours), so the cell is ours.
        unsafe { self.block.operation.get().write(Some(operation)) };
        let Some(armed) = self.block.slot.arm() else {
            // Cannot be: the slot is idle. Treated as a refusal all the same.
            return match self.block.take_operation() {
                Some(operation) => Issued::Refused(operation, SecurityStatus::SEC_E_INTERNAL_ERROR),
                None => Issued::RefusedYetCalledBack,
            };
        };
        let queued = status(call(self.raw.as_ptr()));
        // From here on the async context may be gone; the block is kept by `self`.
        if queued == SecurityStatus::SEC_E_OK {
            return Issued::Accepted(self.when(armed, thread));
        }
        if !self.block.slot.take(armed) {
            return Issued::RefusedYetCalledBack;
        }
        match self.block.take_operation() {
            Some(operation) => Issued::Refused(operation, queued),
            None => Issued::RefusedYetCalledBack,
        }
    }

    /// Only good for statistics: a next call may have been made meanwhile.
    fn when(&self, armed: Call, thread: usize) -> When {
        if self.block.slot.is_pending(armed) {
            When::Late
        } else if self.block.called_back_on.load(Ordering::Relaxed) == thread {
            When::Inline
        } else {
            When::Early
        }
    }
}

impl<T> Block<T> {
    /// The operation, for whoever has just taken the slot.
    fn take_operation(&self) -> Option<Box<T>> {
        // SAFETY: the slot was taken by the caller alone, so the cell is the caller's.
        unsafe { &mut *self.operation.get() }.take()
    }
}

/// SSPI's callback. Any thread, IRQL up to DISPATCH_LEVEL, before or after the call returned.
///
/// # Safety
///
/// ksecdd calls this with the data that [`AsyncContext::new`] set.
unsafe extern "C" fn notify<T: Completed>(context: *mut SspiAsyncContext, data: *mut c_void) {
    // SAFETY: the block lives while the async context may call back.
    let block = unsafe { &*data.cast::<Block<T>>() };
    block
        .called_back_on
        .store(nt::thread::current(), Ordering::Relaxed);
    if !block.slot.take_any() {
        T::stray();
        return;
    }
    let operation = block.take_operation();
    // SAFETY: the context is alive: its operation, which has just been taken, keeps it.
    let result = status(unsafe { SspiGetAsyncCallStatus(context) });
    if let Some(operation) = operation {
        // The last statement: from here on the context may be reused, or gone.
        operation.completed(result);
    }
}
