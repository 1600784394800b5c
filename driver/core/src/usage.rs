//! Use of a security context: exclusive for a leg, shared for one SEAL, one UNSEAL and queries.
//!
//! Schannel allows no two handshake calls on one context, and of encrypt and decrypt one of each at
//! a time (Microsoft's documentation of `AcceptSecurityContext (Schannel)` and `DecryptMessage
//! (Schannel)`). A context is deleted after its last use; closing only forbids further ones.

use crate::word::Word;

const CLOSING: usize = 1;
const LEG: usize = 2;
const SEAL: usize = 4;
const UNSEAL: usize = 8;
const ONE_QUERY: usize = 16;
/// Far more queries than there are requests; the count cannot overflow.
const MOST_QUERIES: usize = usize::MAX / 2;

/// The uses of one context.
#[derive(Debug)]
pub struct Usage<W>(W);

/// A kind of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A handshake call; excludes every other use.
    Leg,
    /// Protecting records.
    Seal,
    /// Unprotecting records.
    Unseal,
    /// Reading attributes.
    Query,
}

/// Why a use is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Another use excludes it; it may be tried again.
    Busy,
    /// The context is being closed.
    Closing,
}

impl<W: Word> Usage<W> {
    /// No use, not closing.
    #[must_use]
    pub fn new() -> Self {
        Self(W::new(0))
    }

    /// Begins a use; [`Self::release`] must follow.
    ///
    /// # Errors
    ///
    /// Another use excludes this one, or the context is closing.
    pub fn acquire(&self, kind: Use) -> Result<(), Refused> {
        let step = |word: usize| match kind {
            Use::Leg => (word == 0).then_some(LEG),
            Use::Seal => (word & (CLOSING | LEG | SEAL) == 0).then_some(word | SEAL),
            Use::Unseal => (word & (CLOSING | LEG | UNSEAL) == 0).then_some(word | UNSEAL),
            Use::Query => (word & (CLOSING | LEG) == 0 && word < MOST_QUERIES)
                .then(|| word.wrapping_add(ONE_QUERY)),
        };
        match self.0.update(step) {
            Ok(_) => Ok(()),
            Err(word) if word & CLOSING != 0 => Err(Refused::Closing),
            Err(_) => Err(Refused::Busy),
        }
    }

    /// Ends a use. True if the context is closing and this was its last: the caller deletes it.
    #[must_use]
    pub fn release(&self, kind: Use) -> bool {
        let without = |word: usize| match kind {
            Use::Leg => word & !LEG,
            Use::Seal => word & !SEAL,
            Use::Unseal => word & !UNSEAL,
            Use::Query => word.wrapping_sub(ONE_QUERY),
        };
        self.0
            .update(|word| Some(without(word)))
            .is_ok_and(|before| without(before) == CLOSING)
    }

    /// Forbids further uses. True for the one caller that is to delete the context now; otherwise
    /// the last use does it, or someone has closed it before.
    #[must_use]
    pub fn close(&self) -> bool {
        self.0.set(CLOSING) == 0
    }
}

impl<W: Word> Default for Usage<W> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicUsize;

    const ALL: [Use; 4] = [Use::Leg, Use::Seal, Use::Unseal, Use::Query];

    #[test]
    fn a_leg_excludes_all_and_of_seal_and_unseal_there_is_one_each() {
        for one in ALL {
            for other in ALL {
                let usage = Usage::<AtomicUsize>::new();
                usage.acquire(one).unwrap();
                let together = match (one, other) {
                    (Use::Leg, _) | (_, Use::Leg) => false,
                    (Use::Query, _) | (_, Use::Query) => true,
                    (one, other) => one != other,
                };
                let expected = if together { Ok(()) } else { Err(Refused::Busy) };
                assert_eq!(usage.acquire(other), expected, "{one:?} beside {other:?}");
                assert!(!usage.release(one), "nobody closes it");
                if together {
                    assert!(!usage.release(other));
                }
                assert_eq!(usage.acquire(Use::Leg), Ok(()), "all uses have ended");
            }
        }
    }

    #[test]
    fn the_last_use_of_a_closed_context_deletes_it() {
        let usage = Usage::<AtomicUsize>::new();
        for kind in [Use::Query, Use::Seal, Use::Query] {
            usage.acquire(kind).unwrap();
        }
        assert!(!usage.close(), "uses are open");
        assert_eq!(usage.acquire(Use::Query), Err(Refused::Closing));
        assert_eq!(
            [Use::Seal, Use::Query, Use::Query].map(|kind| usage.release(kind)),
            [false, false, true]
        );
        assert!(!usage.close(), "it is closed once");
        assert!(
            Usage::<AtomicUsize>::new().close(),
            "without a use it is deleted at once"
        );
    }
}
