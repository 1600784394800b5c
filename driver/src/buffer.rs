//! Bytes of tokens: from the look-aside list when they fit, from the pool when not, zeroed when
//! they go.

use crate::{
    kmdf::lookaside::{Block, Lookaside},
    memory::try_zeroed,
};
use alloc::boxed::Box;
use zeroize::Zeroize;

/// Memory for a token. Never a request's buffer: what a pending call refers to must outlive the
/// request (a request can be given up, a call cannot).
pub struct Buffer {
    memory: Memory,
    length: usize,
}

enum Memory {
    Block(Block),
    Pool(Box<[u8]>),
}

impl Buffer {
    /// `length` bytes of 0. IRQL: up to DISPATCH_LEVEL. `None` when there is no memory.
    pub fn zeroed(blocks: &Lookaside, length: usize) -> Option<Self> {
        let memory = if length <= blocks.size() {
            Memory::Block(blocks.take()?)
        } else {
            Memory::Pool(try_zeroed(length)?)
        };
        Some(Self { memory, length })
    }

    /// A copy of `bytes`. IRQL and failure as above.
    pub fn copy_of(blocks: &Lookaside, bytes: &[u8]) -> Option<Self> {
        let mut buffer = Self::zeroed(blocks, bytes.len())?;
        for (place, byte) in buffer.bytes_mut().iter_mut().zip(bytes) {
            *place = *byte;
        }
        Some(buffer)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        let all = match &self.memory {
            Memory::Block(block) => block.bytes(),
            Memory::Pool(bytes) => bytes,
        };
        all.get(..self.length).unwrap_or_default()
    }

    /// The bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let all = match &mut self.memory {
            Memory::Block(block) => block.bytes_mut(),
            Memory::Pool(bytes) => bytes,
        };
        all.get_mut(..self.length).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
    }
}
