//! The memory of an object's context: zeroed, fenced, found by type.

use crate::{
    blocks::{self, Use},
    checks,
    guard::Block,
    stop::stop,
};

/// One context of one object.
pub struct Context {
    kind: usize,
    block: Block,
}

impl Context {
    /// A zeroed context of the type with the description at `kind`.
    pub fn new((kind, size): (usize, usize)) -> Self {
        Self {
            kind,
            block: Block::zeroed(Use::Context, size),
        }
    }

    /// Whether it has this type.
    pub fn is(&self, kind: usize) -> bool {
        self.kind == kind
    }

    /// Where the driver finds it.
    pub fn address(&self) -> usize {
        self.block.address()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(place) = self.block.overrun() {
            stop!(
                "context-overrun",
                "object context of {} bytes, at {place}",
                self.block.size()
            );
        }
        if checks::COSTLY {
            blocks::bury(Use::Context, self.block.bytes());
        }
    }
}
