//! Looks after a call inside ksecdd: whether it has a final status, and no callback.

use super::{
    async_context::{Block, Completed},
    optional, status,
};
use crate::{shared::Shared, stock::Stored};
use core::{ptr::NonNull, sync::atomic::AtomicU64};
use tlsgate_core::slot::{Call, PollEnd, Verdict};
use tlsgate_protocol::SecurityStatus;
use wdk_sys::{SspiAsyncContext, ntddk::SspiGetAsyncCallStatus};

/// Looks after one call inside ksecdd: whether it has a final status without a callback.
pub struct Watcher<T: Completed> {
    raw: NonNull<SspiAsyncContext>,
    block: Shared<Block<T>>,
    /// Which call of the context.
    call: Call,
}

// SAFETY: as for `AsyncContext`; `raw` is used only while the slot says that the call is inside.
unsafe impl<T: Completed> Send for Watcher<T> {}
// SAFETY: as above.
unsafe impl<T: Completed> Sync for Watcher<T> {}

/// What a look at a call found.
pub enum Polled<T> {
    /// The call is over.
    Over,
    /// ksecdd works on it, or it has not returned.
    Working,
    /// It has a final status, and its callback has not come.
    Final,
    /// Its operation is to be gone on with: the callback came while the call was looked at.
    GoOn(Stored<T>, SecurityStatus),
    /// Its operation is to be gone on with: ksecdd says that it owes no callback. The async context is
    /// of no more use, and must be kept for a while: ksecdd may call it owed no more when it begins to
    /// call.
    TakenOver(Stored<T>, SecurityStatus),
}

impl<T: Completed> Clone for Watcher<T> {
    fn clone(&self) -> Self {
        Self {
            raw: self.raw,
            block: self.block.clone(),
            call: self.call,
        }
    }
}

impl<T: Completed> Watcher<T> {
    /// For the call that the slot of `block` holds. `raw` is the context that the block is of.
    pub(super) const fn new(
        raw: NonNull<SspiAsyncContext>,
        block: Shared<Block<T>>,
        call: Call,
    ) -> Self {
        Self { raw, block, call }
    }

    /// Whether the call is not over.
    pub fn is_current(&self) -> bool {
        self.block.slot.is_current(self.call)
    }

    /// Where whoever looks after the call keeps a number, until [`Completed::unwatch`].
    pub fn cell(&self) -> &AtomicU64 {
        &self.block.watch
    }

    /// Looks at the call. `is_over_due`: a final status has been seen for so long that no callback will
    /// come unless ksecdd owes one. IRQL: PASSIVE_LEVEL, on a thread of the driver's own.
    pub fn poll(&self, is_over_due: bool) -> Polled<T> {
        if !self.block.slot.poll_begin(self.call) {
            return if self.is_current() {
                Polled::Working
            } else {
                Polled::Over
            };
        }
        // SAFETY: between `poll_begin` and `poll_end` a callback leaves the operation where it is, so
        // the context stays.
        let found = status(unsafe { SspiGetAsyncCallStatus(self.raw.as_ptr()) });
        let is_final = found != SecurityStatus::SEC_I_ASYNC_CALL_PENDING;
        // SAFETY: as above.
        let is_owed = || unsafe { optional::requires_notify(self.raw) }.unwrap_or(true);
        let verdict = if is_final && is_over_due && !is_owed() {
            Verdict::Lost
        } else {
            Verdict::StillPending
        };
        let operation = match self.block.slot.poll_end(verdict) {
            PollEnd::Nothing if is_final => return Polled::Final,
            PollEnd::Nothing => return Polled::Working,
            PollEnd::GoOn => {
                let found = self.block.found();
                let operation = self.block.take_operation();
                return operation.map_or(Polled::Over, |it| Polled::GoOn(it, found));
            }
            PollEnd::TakenOver => self.block.take_operation(),
        };
        operation.map_or(Polled::Over, |it| Polled::TakenOver(it, found))
    }
}
