//! A call inside ksecdd, and who goes on with its operation.
//!
//! A callback may come before its call has returned, on any thread. Nothing documents that the
//! async context, or what the call refers to, may be reused while the call itself has not returned.
//! So the callback and the returning call meet here, and the later of the two goes on. A call that
//! was refused gets its operation back at once; a callback that finds none is counted and ignored.
//!
//! Nor does anything document that a callback always comes. A watchdog may look after a call that
//! has returned: while it looks, the callback leaves the operation to it, so what it looks at stays.
//! If it finds that the call is over and its callback is lost, it takes the operation, and the slot
//! holds no call ever again: the callback may still come, and then harms nothing. Calls are numbered,
//! so that a watchdog that comes late does not judge the next one.

use crate::word::Word;

/// A call was issued.
const ARMED: usize = 1;
/// Its callback has come.
const CALLED_BACK: usize = 2;
/// It has returned.
const RETURNED: usize = 4;
/// The watchdog looks at it.
const POLLING: usize = 8;
/// Its callback has not come in time. For good.
const LOST: usize = 16;
/// All of the above; the number of the call is in the other bits.
const FLAGS: usize = 31;
const ONE_CALL: usize = 32;

/// A call that waits for its callback alone.
const OUT: usize = ARMED | RETURNED;

/// Whether an async context has a call inside ksecdd.
#[derive(Debug)]
pub struct CallSlot<W>(W);

/// Names one call of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call(usize);

/// What a callback is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum CalledBack {
    /// The call has returned: go on with the operation.
    GoOn,
    /// The issuer goes on when the call has returned, or the watchdog when it has looked.
    LeaveIt,
    /// There is no call that this could be the callback of.
    Stray,
}

/// What a watchdog saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The call may yet call back.
    StillPending,
    /// It is over, and has not called back in time.
    Lost,
}

/// What a watchdog is to do when it has looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum PollEnd {
    /// Nothing: the callback will go on with the operation. Look at nothing of the call any more.
    Nothing,
    /// The callback came meanwhile: go on with the operation in its place.
    GoOn,
    /// Go on with the operation. The async context is never to be used again, and neither it nor the
    /// slot is to be freed while the callback may yet come.
    TakenOver,
}

impl<W: Word> CallSlot<W> {
    /// A slot without a call.
    #[must_use]
    pub fn new() -> Self {
        Self(W::new(0))
    }

    /// Marks the slot as holding a call. `None` when it holds one already, or lost one.
    #[must_use]
    pub fn arm(&self) -> Option<Call> {
        let next = |word: usize| (word & !FLAGS).wrapping_add(ONE_CALL);
        let step = |word| (word & FLAGS == 0).then(|| next(word) | ARMED);
        self.0.update(step).ok().map(|before| Call(next(before)))
    }

    /// Whether this very call is in the slot, and has not been taken over.
    #[must_use]
    pub fn is_current(&self, call: Call) -> bool {
        let word = self.0.load();
        word & !FLAGS == call.0 && word & ARMED != 0
    }

    /// Whether a call was taken over: the slot is of no more use.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.load() & LOST != 0
    }

    /// For the callback.
    pub fn called_back(&self) -> CalledBack {
        let step = |word: usize| match word & FLAGS {
            ARMED => Some(word | CALLED_BACK),
            OUT => Some(word & !FLAGS),
            flags if flags == OUT | POLLING => Some(word | CALLED_BACK),
            _ => None,
        };
        match self.0.update(step) {
            Ok(before) if before & FLAGS == OUT => CalledBack::GoOn,
            Ok(_) => CalledBack::LeaveIt,
            Err(_) => CalledBack::Stray,
        }
    }

    /// For the issuer of a call that was queued. True if its callback has come: go on with the
    /// operation.
    #[must_use]
    pub fn returned(&self) -> bool {
        let step = |word: usize| match word & FLAGS {
            ARMED => Some(word | RETURNED),
            _ => Some(word & !FLAGS),
        };
        self.0
            .update(step)
            .is_ok_and(|before| before & FLAGS != ARMED)
    }

    /// For the issuer of a call that was refused: the operation is its own again, whatever a
    /// callback has said or will say. True if one has come.
    #[must_use]
    pub fn refused(&self) -> bool {
        self.0.clear(FLAGS) & CALLED_BACK != 0
    }

    /// For the watchdog, before it looks at anything of `call`. True if the call is out and has not
    /// been called back: until [`Self::poll_end`], which must follow, the call's operation and async
    /// context stay as they are.
    #[must_use]
    pub fn poll_begin(&self, call: Call) -> bool {
        let out = call.0 | OUT;
        self.0.replace(out, out | POLLING).is_ok()
    }

    /// For the watchdog, when it has looked. A callback that came meanwhile counts, whatever the
    /// verdict.
    pub fn poll_end(&self, verdict: Verdict) -> PollEnd {
        let step = |word: usize| match (word & CALLED_BACK, verdict) {
            (0, Verdict::StillPending) => Some(word & !POLLING),
            (0, Verdict::Lost) => Some(word & !FLAGS | LOST),
            _ => Some(word & !FLAGS),
        };
        match (self.0.update(step), verdict) {
            (Ok(before), _) if before & CALLED_BACK != 0 => PollEnd::GoOn,
            (_, Verdict::StillPending) => PollEnd::Nothing,
            (_, Verdict::Lost) => PollEnd::TakenOver,
        }
    }
}

impl<W: Word> Default for CallSlot<W> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicUsize;

    fn out() -> (CallSlot<AtomicUsize>, Call) {
        let slot = CallSlot::new();
        let call = slot.arm().unwrap();
        assert!(!slot.returned());
        (slot, call)
    }

    #[test]
    fn only_a_call_that_is_out_is_looked_at() {
        let slot = CallSlot::<AtomicUsize>::new();
        let call = slot.arm().unwrap();
        assert!(!slot.poll_begin(call), "it has not returned");
        assert!(slot.is_current(call) && !slot.is_lost());
        assert!(!slot.returned());
        assert!(slot.poll_begin(call));
        assert!(!slot.poll_begin(call), "another watchdog looks");
        assert_eq!(slot.poll_end(Verdict::StillPending), PollEnd::Nothing);
        assert!(slot.poll_begin(call));
        assert_eq!(slot.poll_end(Verdict::StillPending), PollEnd::Nothing);
        assert_eq!(slot.called_back(), CalledBack::GoOn);
        assert!(
            !slot.poll_begin(call) && !slot.is_current(call),
            "it is over"
        );
        let next = slot.arm().unwrap();
        assert!(!slot.returned() && !slot.poll_begin(call) && slot.poll_begin(next));
    }

    #[test]
    fn a_callback_under_a_watchdogs_eyes_leaves_the_operation_to_it() {
        for verdict in [Verdict::StillPending, Verdict::Lost] {
            let (slot, call) = out();
            assert!(slot.poll_begin(call));
            assert_eq!(slot.called_back(), CalledBack::LeaveIt);
            assert_eq!(slot.called_back(), CalledBack::Stray, "a second one");
            assert_eq!(slot.arm(), None);
            assert_eq!(slot.poll_end(verdict), PollEnd::GoOn);
            assert!(slot.arm().is_some_and(|next| next != call));
        }
    }

    #[test]
    fn a_lost_call_is_taken_over_once_and_the_slot_is_of_no_more_use() {
        let (slot, call) = out();
        assert!(slot.poll_begin(call));
        assert_eq!(slot.poll_end(Verdict::Lost), PollEnd::TakenOver);
        assert!(slot.is_lost() && !slot.is_current(call));
        assert_eq!(Word::load(&slot.0), call.0 | LOST, "it keeps its number");
        assert_eq!(slot.called_back(), CalledBack::Stray);
        assert!(!slot.poll_begin(call));
        assert_eq!(slot.arm(), None);
    }

    #[test]
    fn a_refused_call_leaves_its_number_behind() {
        let slot = CallSlot::<AtomicUsize>::new();
        let refused = slot.arm().unwrap();
        assert_eq!(slot.called_back(), CalledBack::LeaveIt);
        assert!(slot.refused());
        let next = slot.arm().unwrap();
        assert_ne!(next, refused);
        assert!(!slot.refused(), "no callback has come");
        assert!(slot.arm().is_some_and(|third| third != next));
    }
}
