//! A reply that comes late, and notices when nobody waits for it any more.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tlsgate::{Unclaimed, protocol::NtStatus};

/// Ready at the third poll; counts cancellations, has undone what was made in vain, and calls
/// `finished` in either case.
pub struct Late<F: FnMut()> {
    pub answer: Option<Result<Vec<u8>, NtStatus>>,
    pub polls: u32,
    pub cancelled: Arc<AtomicUsize>,
    pub finished: F,
    pub unclaimed: Option<Unclaimed>,
}

impl<F: FnMut() + Unpin> Future for Late<F> {
    type Output = Result<Vec<u8>, NtStatus>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls += 1;
        if self.polls < 3 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        (self.finished)();
        Poll::Ready(self.answer.take().expect("polled after it was ready"))
    }
}

impl<F: FnMut()> Drop for Late<F> {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            self.cancelled.fetch_add(1, Ordering::SeqCst);
            (self.finished)();
            // It had been answered when it was made: it is never too early to be too late.
            if let (Some(undo), Ok(output)) = (self.unclaimed.take(), answer) {
                undo(&output);
            }
        }
    }
}
