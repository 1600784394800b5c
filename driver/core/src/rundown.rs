//! Counted use of something that ends after its last use: a credential by its sessions.

use crate::word::Word;

const CLOSING: usize = 1;
const ONE_USE: usize = 2;
/// Far more uses than there can be users; the count cannot overflow.
const MOST: usize = usize::MAX / 2;

/// The uses of one thing.
#[derive(Debug)]
pub struct Rundown<W>(W);

/// What is left to do after [`Rundown::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Closed {
    /// There is no use: the caller ends it now.
    Now,
    /// The last use will end it.
    AfterLastUse,
    /// It was closed before.
    Before,
}

impl<W: Word> Rundown<W> {
    /// No use, not closing.
    #[must_use]
    pub fn new() -> Self {
        Self(W::new(0))
    }

    /// Begins a use, unless it is closing. [`Self::release`] must follow.
    #[must_use]
    pub fn acquire(&self) -> bool {
        let step =
            |word: usize| (word & CLOSING == 0 && word < MOST).then(|| word.wrapping_add(ONE_USE));
        self.0.update(step).is_ok()
    }

    /// Ends a use. True if it is closing and this was the last: the caller ends it.
    #[must_use]
    pub fn release(&self) -> bool {
        self.0
            .update(|word| Some(word.wrapping_sub(ONE_USE)))
            .is_ok_and(|before| before.wrapping_sub(ONE_USE) == CLOSING)
    }

    /// Forbids further uses.
    pub fn close(&self) -> Closed {
        match self.0.set(CLOSING) {
            0 => Closed::Now,
            word if word & CLOSING != 0 => Closed::Before,
            _ => Closed::AfterLastUse,
        }
    }
}

impl<W: Word> Default for Rundown<W> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicUsize;

    #[test]
    fn it_ends_once_after_its_last_use() {
        let rundown = Rundown::<AtomicUsize>::new();
        assert!(rundown.acquire() && rundown.acquire());
        assert!(!rundown.release(), "nobody has closed it");
        assert_eq!(rundown.close(), Closed::AfterLastUse);
        assert_eq!(rundown.close(), Closed::Before);
        assert!(!rundown.acquire(), "closed");
        assert!(rundown.release(), "the last");
        assert_eq!(Rundown::<AtomicUsize>::new().close(), Closed::Now);
    }
}
