//! Who completes a request, and what becomes of its operation when the request is given up.
//!
//! A pended request has three suitors: the operation that brings its result, KMDF's cancel
//! callback, and whoever gives it up for another reason (handle clean-up, a deadline). Two arbiters
//! decide among them:
//!
//! * this word, among those that are not the cancel callback: the first [`Ticket::claim`] wins;
//! * KMDF, between that winner and the cancel callback: `WdfRequestUnmarkCancelable` succeeds, and
//!   the winner completes the request, or it returns `STATUS_CANCELLED`, and the callback does
//!   (Microsoft's documentation of `WdfRequestUnmarkCancelable`).
//!
//! SSPI has no cancel: an operation that is inside ksecdd when its request is given up lives on as
//! an *orphan* until its callback. The same word makes that count exact.

use crate::word::Word;

/// Someone has won the right to complete the request.
const CLAIMED: usize = 1;
/// The request has been given up: no more calls are to be made for it.
const ABANDONED: usize = 2;
/// A call for it is inside ksecdd.
const IN_CALL: usize = 4;

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
        self.0.set(CLAIMED) & CLAIMED == 0
    }

    /// Records that the request is given up. Called by the cancel callback, to which KMDF gives
    /// the completion, or by a claimant that has unmarked the request.
    pub fn abandon(&self) -> Abandoned {
        match self.0.set(CLAIMED | ABANDONED) & IN_CALL {
            0 => Abandoned::Waiting,
            _ => Abandoned::Orphaned,
        }
    }
}

impl<W: Word> Default for Ticket<W> {
    fn default() -> Self {
        Self::new()
    }
}
