//! Who completes a request, and what becomes of its operation when the request is given up.
//!
//! A pended request has three suitors: the operation that brings its result, KMDF's cancel
//! callback, and whoever gives it up for another reason (handle clean-up, a deadline). The first
//! [`Ticket::claim`] wins among those that are not the cancel callback, and goes on to
//! `WdfRequestUnmarkCancelable`. If that succeeds, the cancel callback never comes, and the
//! claimant completes the request. If it fails, the callback comes or has come; the two then meet
//! here, and the later one completes, because a request must not be unmarked after it has been
//! completed (Microsoft's documentation of `WdfRequestUnmarkCancelable`).
//!
//! SSPI has no cancel: an operation that is inside ksecdd when its request is given up lives on as
//! an *orphan* until its callback. The same word makes that count exact.

use crate::word::Word;

/// Someone has won the right to unmark the request.
const CLAIMED: usize = 1;
/// The request has been given up: no more calls are to be made for it.
const ABANDONED: usize = 2;
/// A call for it is inside ksecdd.
const IN_CALL: usize = 4;
/// The cancel callback has run.
const CANCEL_RAN: usize = 8;
/// The claimant could not unmark the request.
const UNMARK_FAILED: usize = 16;

/// The shared state of one pended request.
#[derive(Debug)]
pub struct Ticket<W>(W);

/// Whether an operation may call ksecdd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Begin {
    /// Make the call; [`Ticket::returned`] must follow when it has completed.
    Issue,
    /// The request was given up while the operation waited: drop it.
    Abandoned,
}

/// Where an operation was when its request was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Abandoned {
    /// Not inside ksecdd: no call will be made.
    Waiting,
    /// Inside ksecdd: it is an orphan now.
    Orphaned,
}

/// Who completes a request whose unmark failed and whose cancel callback runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Completer {
    /// The one that asked.
    Me,
    /// The other of the two, which comes later.
    TheOther,
}

impl<W: Word> Ticket<W> {
    /// The ticket of a request that has just arrived.
    #[must_use]
    pub fn new() -> Self {
        Self(W::new(0))
    }

    /// Before a call to ksecdd.
    pub fn begin(&self) -> Begin {
        let step = |word| (word & ABANDONED == 0).then_some(word | IN_CALL);
        match self.0.update(step) {
            Ok(_) => Begin::Issue,
            Err(_) => Begin::Abandoned,
        }
    }

    /// After the call has completed, or was refused. True if the operation was an orphan.
    #[must_use]
    pub fn returned(&self) -> bool {
        self.0.clear(IN_CALL) & ABANDONED != 0
    }

    /// Asks for the right to complete the request. The one that gets `true` goes on to unmark it.
    #[must_use]
    pub fn claim(&self) -> bool {
        self.0.set(CLAIMED) & (CLAIMED | CANCEL_RAN) == 0
    }

    /// The claimant could not unmark the request.
    pub fn unmark_failed(&self) -> Completer {
        match self.0.set(UNMARK_FAILED) & CANCEL_RAN {
            0 => Completer::TheOther,
            _ => Completer::Me,
        }
    }

    /// The cancel callback runs: the request is given up.
    pub fn cancelled(&self) -> (Completer, Abandoned) {
        let before = self.0.set(CANCEL_RAN | ABANDONED);
        let completer = match before & (CLAIMED | UNMARK_FAILED) {
            CLAIMED => Completer::TheOther,
            _ => Completer::Me,
        };
        (completer, place(before))
    }

    /// A claimant that has unmarked the request gives it up.
    pub fn abandon(&self) -> Abandoned {
        place(self.0.set(ABANDONED))
    }
}

const fn place(word: usize) -> Abandoned {
    match word & IN_CALL {
        0 => Abandoned::Waiting,
        _ => Abandoned::Orphaned,
    }
}

impl<W: Word> Default for Ticket<W> {
    fn default() -> Self {
        Self::new()
    }
}
