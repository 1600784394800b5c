//! The life of a request: who may do what when. One table of rules, without any I/O.
//!
//! The rules are those of "Canceling I/O Requests", "Completing I/O Requests" and the reference
//! pages of `WdfRequestMarkCancelableEx` and `WdfRequestUnmarkCancelable` in the WDF documents.

/// A rule that the driver broke, by the name that tests look for.
pub type Broken = &'static str;

/// Whose the request is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The driver's, in `EvtIoInCallerContext` or `EvtDeviceFileCreate`.
    Arrived,
    /// The framework's, in a queue.
    Queued,
    /// The driver's, delivered by a queue.
    Delivered,
    /// Nobody's.
    Completed,
}

/// What is known about cancelling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cancel<F> {
    /// Nothing asked, nothing marked.
    No,
    /// Marked cancelable with this `EvtRequestCancel`.
    Marked(F),
    /// The caller wants it cancelled; it was not marked, so the driver does not know yet.
    Wanted,
    /// `EvtRequestCancel` owns the request but has not been entered.
    Calling,
    /// `EvtRequestCancel` owns the request.
    Called,
}

/// What the framework has to do about a cancellation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnCancel<F> {
    /// Nothing: the driver will learn of it when it asks, or it is too late.
    Nothing,
    /// Complete it: the driver never saw it.
    Complete,
    /// Call `EvtRequestCancel`.
    Call(F),
}

/// One request's state; `F` is the type of `EvtRequestCancel`.
#[derive(Debug)]
pub struct Life<F> {
    phase: Phase,
    cancel: Cancel<F>,
}

impl<F: Copy> Life<F> {
    /// A request that has just arrived at the device.
    pub const fn new() -> Self {
        Self {
            phase: Phase::Arrived,
            cancel: Cancel::No,
        }
    }

    /// It goes into a queue; false when it was cancelled before, and the framework completes it.
    pub fn enqueue(&mut self) -> Result<bool, Broken> {
        match (self.phase, self.cancel) {
            (Phase::Completed, _) => Err("request-use-after-completion"),
            (Phase::Queued | Phase::Delivered, _) => Err("enqueued-twice"),
            // A cancelable request must not be forwarded to a queue.
            (Phase::Arrived, Cancel::Marked(_)) => Err("cancelable-request-queued"),
            (Phase::Arrived, Cancel::No) => {
                self.phase = Phase::Queued;
                Ok(true)
            }
            (Phase::Arrived, _) => {
                self.phase = Phase::Completed;
                Ok(false)
            }
        }
    }

    /// The queue hands it to the driver; false if it was cancelled before.
    pub fn deliver(&mut self) -> bool {
        let deliver = self.phase == Phase::Queued;
        if deliver {
            self.phase = Phase::Delivered;
        }
        deliver
    }

    /// `WdfRequestMarkCancelableEx`: false means `STATUS_CANCELLED`, and the driver completes it.
    pub fn mark(&mut self, callback: F) -> Result<bool, Broken> {
        self.owned()?;
        match self.cancel {
            Cancel::No => {
                self.cancel = Cancel::Marked(callback);
                Ok(true)
            }
            Cancel::Wanted => Ok(false),
            Cancel::Marked(_) | Cancel::Calling | Cancel::Called => Err("marked-twice"),
        }
    }

    /// `WdfRequestUnmarkCancelable`: false means `STATUS_CANCELLED`, and `EvtRequestCancel` was or
    /// will be called. It must not be called any more after that has completed the request, not
    /// even by whoever holds a reference (the function's page).
    pub fn unmark(&mut self) -> Result<bool, Broken> {
        match self.cancel {
            Cancel::Marked(_) => {
                self.cancel = Cancel::No;
                Ok(true)
            }
            Cancel::Called if self.is_completed() => Err("unmark-after-completion"),
            Cancel::Calling | Cancel::Called => Ok(false),
            Cancel::No | Cancel::Wanted => {
                self.owned()?;
                Err("unmark-not-marked")
            }
        }
    }

    /// `WdfRequestIsCanceled`
    pub fn is_cancelled(&self) -> Result<bool, Broken> {
        self.owned()?;
        Ok(!matches!(self.cancel, Cancel::No | Cancel::Marked(_)))
    }

    /// The framework takes it back from the queue; false if it is not there.
    pub fn withdraw(&mut self) -> bool {
        let waiting = self.phase == Phase::Queued;
        if waiting {
            self.phase = Phase::Completed;
        }
        waiting
    }

    /// Somebody wants it cancelled.
    pub fn cancel(&mut self) -> OnCancel<F> {
        match (self.phase, self.cancel) {
            (Phase::Queued, _) => {
                self.phase = Phase::Completed;
                OnCancel::Complete
            }
            (Phase::Delivered | Phase::Arrived, Cancel::Marked(callback)) => {
                self.cancel = Cancel::Calling;
                OnCancel::Call(callback)
            }
            (Phase::Delivered | Phase::Arrived, Cancel::No) => {
                self.cancel = Cancel::Wanted;
                OnCancel::Nothing
            }
            _ => OnCancel::Nothing,
        }
    }

    /// `EvtRequestCancel` is about to be entered.
    pub fn entering_cancel(&mut self) {
        self.cancel = Cancel::Called;
    }

    /// The driver completes it.
    pub fn complete(&mut self) -> Result<(), Broken> {
        match (self.phase, self.cancel) {
            (Phase::Completed, _) => Err("double-completion"),
            (Phase::Queued, _) => Err("completed-while-queued"),
            (_, Cancel::Marked(_) | Cancel::Calling) => Err("missing-unmark-cancelable"),
            (_, Cancel::No | Cancel::Wanted | Cancel::Called) => {
                self.phase = Phase::Completed;
                Ok(())
            }
        }
    }

    /// Refuses any use of a request that is not the driver's.
    pub fn owned(&self) -> Result<(), Broken> {
        match self.phase {
            Phase::Arrived | Phase::Delivered => Ok(()),
            Phase::Queued => Err("request-use-while-queued"),
            Phase::Completed => Err("request-use-after-completion"),
        }
    }

    /// Whether it is out of the driver's hands for good.
    pub fn is_completed(&self) -> bool {
        self.phase == Phase::Completed
    }

    /// Whether `EvtIoInCallerContext` left it lying.
    pub fn is_arrived(&self) -> bool {
        self.phase == Phase::Arrived
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered() -> Life<u8> {
        let mut life = Life::new();
        assert_eq!(life.enqueue(), Ok(true));
        assert!(life.deliver());
        life
    }

    #[test]
    fn completes_once() {
        let mut life = delivered();
        assert_eq!(life.complete(), Ok(()));
        assert_eq!(life.complete(), Err("double-completion"));
        assert_eq!(life.mark(1), Err("request-use-after-completion"));
        assert_eq!(life.unmark(), Err("request-use-after-completion"));
        assert_eq!(life.is_cancelled(), Err("request-use-after-completion"));
        assert_eq!(life.cancel(), OnCancel::Nothing);
    }

    #[test]
    fn belongs_to_the_framework_while_queued() {
        let mut life = Life::<u8>::new();
        assert_eq!(life.enqueue(), Ok(true));
        assert_eq!(life.owned(), Err("request-use-while-queued"));
        assert_eq!(life.complete(), Err("completed-while-queued"));
        assert_eq!(life.enqueue(), Err("enqueued-twice"));
    }

    #[test]
    fn cancelled_in_the_queue_is_never_delivered() {
        let mut life = Life::<u8>::new();
        assert_eq!(life.enqueue(), Ok(true));
        assert_eq!(life.cancel(), OnCancel::Complete);
        assert!(!life.deliver());
        assert!(life.is_completed());
    }

    #[test]
    fn cancelled_before_the_queue_is_never_delivered() {
        let mut life = Life::<u8>::new();
        assert_eq!(life.cancel(), OnCancel::Nothing);
        assert_eq!(life.enqueue(), Ok(false));
        assert!(!life.deliver());
    }

    #[test]
    fn a_cancelable_request_is_unmarked_before_completion() {
        let mut life = delivered();
        assert_eq!(life.mark(1), Ok(true));
        assert_eq!(life.complete(), Err("missing-unmark-cancelable"));
        assert_eq!(life.mark(2), Err("marked-twice"));
        assert_eq!(life.unmark(), Ok(true));
        assert_eq!(life.unmark(), Err("unmark-not-marked"));
        assert_eq!(life.complete(), Ok(()));
    }

    #[test]
    fn marking_a_cancelled_request_is_refused_and_the_driver_completes() {
        let mut life = delivered();
        assert_eq!(life.cancel(), OnCancel::Nothing);
        assert_eq!(life.is_cancelled(), Ok(true));
        assert_eq!(life.mark(1), Ok(false));
        assert_eq!(life.complete(), Ok(()));
    }

    #[test]
    fn once_cancelled_the_callback_owns_it() {
        let mut life = delivered();
        assert_eq!(life.mark(7), Ok(true));
        assert_eq!(life.cancel(), OnCancel::Call(7));
        assert_eq!(life.unmark(), Ok(false));
        assert_eq!(life.complete(), Err("missing-unmark-cancelable"));
        life.entering_cancel();
        assert_eq!(life.cancel(), OnCancel::Nothing);
        assert_eq!(life.complete(), Ok(()));
        assert_eq!(life.unmark(), Err("unmark-after-completion"));
        assert_eq!(life.complete(), Err("double-completion"));
    }
}
