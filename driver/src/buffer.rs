//! Bytes of tokens and names: from a look-aside list when they fit, from the pool when not, zeroed when
//! they go.

use crate::{
    memory::{try_zeroed, wipe},
    nt::lookaside::{Block, Lookaside},
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
        if is_for(list, length) {
            list.zeroed(length).map(Self::Block)
        } else {
            try_zeroed(length).map(Self::Pool)
        }
    }

    /// A copy of `bytes`. IRQL and failure as above.
    pub fn copy_of(list: &Lookaside, bytes: &[u8]) -> Option<Self> {
        if is_for(list, bytes.len()) {
            return list.copy_of(bytes).map(Self::Block);
        }
        Self::starting_with(list, bytes, bytes.len())
    }

    /// `length` bytes, of which the first are a copy of `bytes`, as many as fit, and the others 0. IRQL and
    /// failure as above.
    pub fn starting_with(list: &Lookaside, bytes: &[u8], length: usize) -> Option<Self> {
        let mut buffer = Self::zeroed(list, length)?;
        for (place, byte) in buffer.bytes_mut().iter_mut().zip(bytes) {
            *place = *byte;
        }
        Some(buffer)
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

/// Whether so many bytes are had from the list: no bytes take no memory.
fn is_for(list: &Lookaside, length: usize) -> bool {
    length != 0 && length <= list.size()
}

impl Drop for Buffer {
    fn drop(&mut self) {
        wipe(self.bytes_mut());
    }
}
