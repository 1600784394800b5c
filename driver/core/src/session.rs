//! The state of a session: handshaking, then established or failed; failed is for good.

use crate::word::Word;
use tlsgate_protocol::payload::state;

const ESTABLISHED: usize = 1;
const FAILED: usize = 2;
/// The handshake has ended before it was complete, and somebody has been told.
const ENDED: usize = 4;

/// The state of one session, which a cancel callback may fail at any time.
#[derive(Debug)]
pub struct State<W>(W);

/// What a session can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Legs.
    Handshaking,
    /// Legs (post-handshake messages) and records.
    Established,
    /// Nothing but closing.
    Failed,
}

impl Phase {
    /// The phase as it crosses the wire.
    #[must_use]
    pub const fn wire(self) -> u8 {
        match self {
            Self::Handshaking => state::HANDSHAKING,
            Self::Established => state::ESTABLISHED,
            Self::Failed => state::FAILED,
        }
    }
}

impl<W: Word> State<W> {
    /// A session that has just been made.
    #[must_use]
    pub fn new() -> Self {
        Self(W::new(0))
    }

    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Self::read(self.0.load())
    }

    /// The handshake is complete. True the first time, unless the session has failed.
    #[must_use]
    pub fn establish(&self) -> bool {
        Self::read(self.0.set(ESTABLISHED)) == Phase::Handshaking
    }

    /// The session is of no more use. True the first time.
    pub fn fail(&self) -> bool {
        Self::read(self.0.set(FAILED)) != Phase::Failed
    }

    /// The handshake fails, or its caller gives it up. True the first time, unless it was complete: one
    /// handshake is charged once.
    #[must_use]
    pub fn end_handshake(&self) -> bool {
        self.0.set(ENDED) & (ESTABLISHED | FAILED | ENDED) == 0
    }

    const fn read(word: usize) -> Phase {
        if word & FAILED != 0 {
            Phase::Failed
        } else if word & ESTABLISHED != 0 {
            Phase::Established
        } else {
            Phase::Handshaking
        }
    }
}

impl<W: Word> Default for State<W> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicUsize;

    #[test]
    fn a_handshake_ends_once_whoever_ends_it() {
        let closed = State::<AtomicUsize>::new();
        assert!(closed.end_handshake(), "closed half-way");
        assert!(
            !closed.end_handshake() && closed.fail(),
            "its leg fails later"
        );
        let failed = State::<AtomicUsize>::new();
        assert!(failed.end_handshake() && failed.fail() && !failed.end_handshake());
        let established = State::<AtomicUsize>::new();
        assert!(established.establish() && !established.end_handshake());
        assert!(established.phase() == Phase::Established && established.fail());
    }

    #[test]
    fn failed_is_for_good_and_each_change_is_told_once() {
        let state = State::<AtomicUsize>::new();
        assert_eq!(state.phase(), Phase::Handshaking);
        assert!(state.establish() && !state.establish());
        assert_eq!(state.phase(), Phase::Established);
        assert!(state.fail() && !state.fail());
        assert_eq!(state.phase(), Phase::Failed);
        assert!(!state.establish(), "it has failed");
        assert_eq!(state.phase(), Phase::Failed);
        let state = State::<AtomicUsize>::new();
        assert!(state.fail() && !state.establish());
        assert_eq!(state.phase(), Phase::Failed);
    }

    #[test]
    fn phases_have_the_numbers_of_the_protocol() {
        assert_eq!(Phase::Handshaking.wire(), state::HANDSHAKING);
        assert_eq!(Phase::Established.wire(), state::ESTABLISHED);
        assert_eq!(Phase::Failed.wire(), state::FAILED);
    }
}
