//! Bytes of tokens and names: from a look-aside list when they fit, from the pool when not, zeroed when
//! they go.

use crate::{
    kmdf::lookaside::{Block, Lookaside},
    memory::{try_zeroed, wipe},
};
use alloc::boxed::Box;

/// Memory for a token. Never a request's buffer: what a pending call refers to must outlive the
/// request (a request can be given up, a call cannot).
pub enum Buffer {
    /// Of a list.
    Block(Block),
    /// Too long for it.
    Pool(Box<[u8]>),
}

impl Buffer {
    /// `length` bytes of 0. IRQL: up to DISPATCH_LEVEL. `None` when there is no memory.
    pub fn zeroed(list: &Lookaside, length: usize) -> Option<Self> {
        if length <= list.size() {
            list.zeroed(length).map(Self::Block)
        } else {
            try_zeroed(length).map(Self::Pool)
        }
    }

    /// A copy of `bytes`. IRQL and failure as above.
    pub fn copy_of(list: &Lookaside, bytes: &[u8]) -> Option<Self> {
        if bytes.len() <= list.size() {
            return list.copy_of(bytes).map(Self::Block);
        }
        let mut copy = try_zeroed(bytes.len())?;
        for (place, byte) in copy.iter_mut().zip(bytes) {
            *place = *byte;
        }
        Some(Self::Pool(copy))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Block(block) => block.bytes(),
            Self::Pool(bytes) => bytes,
        }
    }

    /// The bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Block(block) => block.bytes_mut(),
            Self::Pool(bytes) => bytes,
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        wipe(self.bytes_mut());
    }
}
