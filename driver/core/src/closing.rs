//! A request that closes something which may be in use: it waits for the end, or is told that the end
//! comes later.
//!
//! The last use may end at the same moment, and the end takes the request that waits for it. So the request
//! is left first, and whoever takes it back has it.

use crate::rundown::Closed;

/// What the rim brings for it, and what is made of that.
pub trait Closing {
    /// The request.
    type Request;

    /// Leaves the request for the end.
    fn put_closer(&self, request: Self::Request);
    /// Takes it back, if nobody has taken it.
    fn take_closer(&self) -> Option<Self::Request>;
    /// Forbids further uses; without a use, the end begins.
    fn close(&self) -> Closed;

    /// Closes it for a request, which the end completes. Gives the request back when the end must wait for
    /// a use: it is the caller's to complete.
    #[must_use]
    fn close_for(&self, request: Self::Request) -> Option<Self::Request> {
        self.put_closer(request);
        match self.close() {
            Closed::AfterLastUse => self.take_closer(),
            Closed::Now | Closed::Before => None,
        }
    }
}
