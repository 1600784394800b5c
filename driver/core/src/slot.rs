//! Exactly one of the callback and a refused call gets an operation back from ksecdd.
//!
//! The documentation says that a callback comes when the call returned `SEC_E_OK` and leaves open
//! whether it can come when it did not. So both sides ask: the callback for whatever the slot
//! holds, the issuer for the very call it made. A callback that finds nothing is counted and
//! ignored.

use crate::word::Word;

/// A call is inside ksecdd.
const ARMED: usize = 1;
/// The lowest bit of the number of calls so far.
const ONE_CALL: usize = 2;

/// Whether an async context has a call inside ksecdd, and which.
#[derive(Debug)]
pub struct CallSlot<W>(W);

/// Names one call among all of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call(usize);

impl<W: Word> CallSlot<W> {
    /// A slot without a call.
    #[must_use]
    pub fn new() -> Self {
        Self(W::new(0))
    }

    /// Marks the slot as holding a call; `None` when it holds one already.
    #[must_use]
    pub fn arm(&self) -> Option<Call> {
        let step = |word: usize| (word & ARMED == 0).then(|| word.wrapping_add(ONE_CALL) | ARMED);
        self.0
            .update(step)
            .ok()
            .map(|word| Call(word.wrapping_add(ONE_CALL) | ARMED))
    }

    /// For the callback: true if there was a call, which is now the caller's to finish.
    #[must_use]
    pub fn take_any(&self) -> bool {
        self.0.clear(ARMED) & ARMED != 0
    }

    /// For the issuer of `call`: true if no callback took it, which now never finds it.
    #[must_use]
    pub fn take(&self, call: Call) -> bool {
        self.0.replace(call.0, call.0 & !ARMED).is_ok()
    }

    /// Whether `call` is still inside ksecdd. Only good for statistics: it may end at any time.
    #[must_use]
    pub fn is_pending(&self, call: Call) -> bool {
        self.0.load() == call.0
    }
}

impl<W: Word> Default for CallSlot<W> {
    fn default() -> Self {
        Self::new()
    }
}
