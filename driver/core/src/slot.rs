//! A call inside ksecdd, and who goes on with its operation.
//!
//! A callback may come before its call has returned, on any thread. Nothing documents that the
//! async context, or what the call refers to, may be reused while the call itself has not returned.
//! So the callback and the returning call meet here, and the later of the two goes on. A call that
//! was refused gets its operation back at once; a callback that finds none is counted and ignored.

use crate::word::Word;

/// A call was issued.
const ARMED: usize = 1;
/// Its callback has come.
const CALLED_BACK: usize = 2;
/// It has returned.
const RETURNED: usize = 4;

/// Whether an async context has a call inside ksecdd.
#[derive(Debug)]
pub struct CallSlot<W>(W);

/// What a callback is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum CalledBack {
    /// The call has returned: go on with the operation.
    GoOn,
    /// The issuer goes on when the call has returned.
    LeaveIt,
    /// There is no call that this could be the callback of.
    Stray,
}

impl<W: Word> CallSlot<W> {
    /// A slot without a call.
    #[must_use]
    pub fn new() -> Self {
        Self(W::new(0))
    }

    /// Marks the slot as holding a call. False when it holds one already.
    #[must_use]
    pub fn arm(&self) -> bool {
        self.0.replace(0, ARMED).is_ok()
    }

    /// For the callback.
    pub fn called_back(&self) -> CalledBack {
        let step = |word| match word {
            ARMED => Some(ARMED | CALLED_BACK),
            word if word == ARMED | RETURNED => Some(0),
            _ => None,
        };
        match self.0.update(step) {
            Ok(ARMED) => CalledBack::LeaveIt,
            Ok(_) => CalledBack::GoOn,
            Err(_) => CalledBack::Stray,
        }
    }

    /// For the issuer of a call that was queued. True if its callback has come: go on with the
    /// operation.
    #[must_use]
    pub fn returned(&self) -> bool {
        let step = |word| match word {
            ARMED => Some(ARMED | RETURNED),
            _ => Some(0),
        };
        self.0.update(step).is_ok_and(|before| before != ARMED)
    }

    /// For the issuer of a call that was refused: the operation is its own again, whatever a
    /// callback has said or will say. True if one has come.
    #[must_use]
    pub fn refused(&self) -> bool {
        self.0.clear(usize::MAX) & CALLED_BACK != 0
    }
}

impl<W: Word> Default for CallSlot<W> {
    fn default() -> Self {
        Self::new()
    }
}
