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
//! There is no cancel. But for one whose callback is lost ([`Watcher`]), the operation is gone on with when the callback has come *and* the call has
//! returned (`tlsgate_core::slot`): that a context may be reused before is documented nowhere. Nor
//! is whether a refused call can call back: the caller must [quarantine] its context.
//!
//! [quarantine]: crate::gate::Gate::quarantine

use super::{status, watcher::Watcher};
use crate::{
    nt,
    shared::{Shared, SharedStock},
    stock::Stored,
};
use core::{
    cell::UnsafeCell,
    ffi::c_void,
    ptr::{self, NonNull},
    sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, AtomicUsize, Ordering},
};
use tlsgate_core::slot::{Call, CallSlot, CalledBack};
use tlsgate_protocol::{NtStatus, SecurityStatus};
use wdk_sys::{
    SECURITY_STATUS, SspiAsyncContext,
    ntddk::{
        SspiCreateAsyncContext, SspiFreeAsyncContext, SspiGetAsyncCallStatus,
        SspiReinitAsyncContext, SspiSetAsyncNotifyCallback,
    },
};

/// An operation that can be inside ksecdd.
pub trait Completed: Send + Sized {
    /// What an async context can keep for its owner ([`AsyncContext::kept`]).
    type Kept: Send;

    /// A call has completed with `status`. Runs in SSPI's callback, on any thread, at any IRQL up to
    /// DISPATCH_LEVEL; or on the issuer's, when the call completed before it returned. Must not
    /// issue, wait or impersonate.
    fn completed(operation: Stored<Self>, status: SecurityStatus);

    /// A callback has come, at this IRQL.
    fn called_back(irql: u8);

    /// It came although its call was refused, or there was no call that it could be of.
    fn stray();

    /// The call that a [`Watcher`] with this cell looked after is over. IRQL: up to DISPATCH_LEVEL.
    fn unwatch(cell: &AtomicU64);
}

/// An async context. To be dropped at PASSIVE_LEVEL, without a call inside.
pub struct AsyncContext<T: Completed> {
    raw: NonNull<SspiAsyncContext>,
    block: Shared<Block<T>>,
    used: bool,
}

// SAFETY: ksecdd's object may be used from any thread, one at a time, and a `T::Kept` may be sent;
// `&AsyncContext` gives nothing.
unsafe impl<T: Completed> Send for AsyncContext<T> {}
// SAFETY: as above.
unsafe impl<T: Completed> Sync for AsyncContext<T> {}

/// What a call and its callback share. Counted, as either may be the last to look at it.
pub(super) struct Block<T: Completed> {
    pub(super) slot: CallSlot<AtomicUsize>,
    /// The operation of the call that the slot holds; null when there is none.
    operation: AtomicPtr<T>,
    /// The status that the last callback found.
    status: AtomicI32,
    /// The thread that it ran on.
    called_back_on: AtomicUsize,
    /// For whoever looks after the call: 0 when nobody does.
    pub(super) watch: AtomicU64,
    kept: OfOwner<T::Kept>,
}

/// Room in what is shared that the async context's owner alone looks at.
struct OfOwner<K>(UnsafeCell<Option<K>>);

// SAFETY: who shares it cannot reach what is in it: that takes the one async context, borrowed alone
// ([`AsyncContext::kept`]). It may be dropped on any thread, as a K may.
unsafe impl<K: Send> Sync for OfOwner<K> {}

/// Memory for what calls and their callbacks share.
pub struct CallBlocks<T: Completed>(SharedStock<Block<T>>);

/// An operation for a call: on loan, its memory stays where it is while raw addresses in it are
/// passed around.
pub struct Lent<T>(NonNull<T>);

/// What became of a call.
pub enum Issued<T> {
    /// It was queued, and its callback goes on with the operation.
    Pending,
    /// It was queued, and has completed with this status before it returned.
    Completed(Stored<T>, SecurityStatus, When),
    /// It was refused with this status. Whether it may yet call back is not documented.
    Refused(Stored<T>, SecurityStatus),
}

/// When a call completed that had completed before it returned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// On the issuing thread.
    Inline,
    /// On another thread.
    Early,
}

/// A context made ready for one call.
pub struct Ready<T: Completed> {
    raw: NonNull<SspiAsyncContext>,
    block: Shared<Block<T>>,
}

/// A context that the next call is made with.
pub struct Armed<T: Completed> {
    ready: Ready<T>,
    call: Call,
}

impl<T: Completed> CallBlocks<T> {
    /// IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// What `Lookaside::new` says.
    pub fn new() -> Result<Self, NtStatus> {
        SharedStock::new().map(Self)
    }
}

impl<T: Completed> AsyncContext<T> {
    /// Makes a context. IRQL: PASSIVE_LEVEL. `None` when there is no memory.
    pub fn new(blocks: &CallBlocks<T>) -> Option<Self> {
        let block = Block {
            slot: CallSlot::new(),
            operation: AtomicPtr::new(ptr::null_mut()),
            status: AtomicI32::new(0),
            called_back_on: AtomicUsize::new(0),
            watch: AtomicU64::new(0),
            kept: OfOwner(UnsafeCell::new(None)),
        };
        let block = blocks.0.share(block).ok()?;
        // SAFETY: takes nothing.
        let raw = NonNull::new(unsafe { SspiCreateAsyncContext() })?;
        let context = Self {
            raw,
            block,
            used: false,
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
    /// `None` when `SspiReinitAsyncContext` refuses, or its last call had to be taken over: use a fresh
    /// one.
    pub fn ready(&mut self) -> Option<Ready<T>> {
        if self.block.slot.is_lost() {
            return None;
        }
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

    /// Room for something of the owner's, in memory that the context has already: a list of contexts needs
    /// none of its own. To be empty again before the context is dropped: else what is there is dropped with
    /// whoever shares the memory last, at any IRQL.
    pub fn kept(&mut self) -> &mut Option<T::Kept> {
        // SAFETY: `self` is the only async context with this block, and borrowed alone; whoever else has the
        // block (a call, its callback, a watcher) does not look there.
        unsafe { &mut *self.block.kept.0.get() }
    }

    /// Whether its last call was taken over: a callback may be on its way all the same.
    pub fn is_lost(&self) -> bool {
        self.block.slot.is_lost()
    }
}

impl<T: Completed> Drop for AsyncContext<T> {
    fn drop(&mut self) {
        // SAFETY: made by `new`, not freed before. No call is inside: an operation inside ksecdd
        // owns the use right of its context, and who drops this holds that right. One whose call was
        // taken over has been in quarantine (`Gate::free_async_context`).
        unsafe { SspiFreeAsyncContext(self.raw.as_ptr()) };
    }
}

impl<T> Lent<T> {
    /// Lends an operation.
    pub fn new(operation: Stored<T>) -> Self {
        let raw = operation.into_raw();
        // SAFETY: a value's address is not null.
        Self(unsafe { NonNull::new_unchecked(raw) })
    }

    /// The operation, before the call.
    pub fn get(&mut self) -> &mut T {
        // SAFETY: leaked by `new`; nothing else refers to it before the call.
        unsafe { self.0.as_mut() }
    }

    /// Takes it back when there is no call after all.
    pub fn reclaim(self) -> Stored<T> {
        // SAFETY: leaked by `new`, and `self` is its only owner.
        unsafe { Stored::from_raw(self.into_raw()) }
    }

    const fn into_raw(self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T: Completed> Ready<T> {
    /// Prepares for the one call. `None` cannot be: the use right of the context is the caller's, so no
    /// call is inside.
    pub fn arm(self) -> Option<Armed<T>> {
        let call = self.block.slot.arm()?;
        Some(Armed { ready: self, call })
    }
}

impl<T: Completed> Armed<T> {
    /// What looks after the call. To be had before the call is made.
    pub fn watcher(&self) -> Watcher<T> {
        Watcher::new(self.ready.raw, self.ready.block.clone(), self.call)
    }

    /// Makes one call of the family. `operation` owns everything whose address the call gets; it
    /// is gone from here until the callback, or until it comes back.
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
        operation: Lent<T>,
        call: impl FnOnce(*mut SspiAsyncContext) -> SECURITY_STATUS,
    ) -> Issued<T> {
        let Ready { raw, block } = self.ready;
        // Nothing can call back before the call.
        block
            .operation
            .store(operation.into_raw(), Ordering::Release);
        let queued = status(call(raw.as_ptr()));
        if queued != SecurityStatus::SEC_E_OK {
            if block.slot.refused() {
                T::stray();
            }
            return block.get_back(|operation| Issued::Refused(operation, queued));
        }
        if !block.slot.returned() {
            // From here on the operation, the session and the async context may be gone.
            return Issued::Pending;
        }
        let inline = block.called_back_on.load(Ordering::Relaxed) == nt::thread::current();
        let when = if inline { When::Inline } else { When::Early };
        let found = block.found();
        block.get_back(|operation| Issued::Completed(operation, found, when))
    }
}

impl<T: Completed> Block<T> {
    /// The operation, for whoever goes on with it.
    pub(super) fn take_operation(&self) -> Option<Stored<T>> {
        T::unwatch(&self.watch);
        let raw = self.operation.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: null, or what was leaked for this call, taken back once.
        (!raw.is_null()).then(|| unsafe { Stored::from_raw(raw) })
    }

    fn get_back(&self, wrap: impl FnOnce(Stored<T>) -> Issued<T>) -> Issued<T> {
        self.take_operation().map_or(Issued::Pending, wrap)
    }

    /// The status that the last callback found.
    pub(super) fn found(&self) -> SecurityStatus {
        SecurityStatus(self.status.load(Ordering::Relaxed))
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
    // SAFETY: ksecdd calls back with a live context.
    let result = status(unsafe { SspiGetAsyncCallStatus(context) });
    block.status.store(result.0, Ordering::Relaxed);
    block
        .called_back_on
        .store(nt::thread::current(), Ordering::Relaxed);
    T::called_back(nt::irql());
    match block.slot.called_back() {
        CalledBack::GoOn => {
            if let Some(operation) = block.take_operation() {
                // The last statement: from here on the context may be reused, or gone.
                T::completed(operation, result);
            }
        }
        // The issuer has the operation as soon as it is told so: nothing may follow.
        CalledBack::LeaveIt => {}
        CalledBack::Stray => T::stray(),
    }
}
