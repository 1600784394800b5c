//! Bytes of tokens: from the look-aside list when they fit, from the pool when not, zeroed when
//! they go.

use crate::{gate::Gate, kmdf::lookaside::Block, memory::try_zeroed};
use alloc::boxed::Box;
use zeroize::Zeroize;

/// Memory for a token. Never a request's buffer: what a pending call refers to must outlive the
/// request (a request can be given up, a call cannot).
pub struct Buffer {
    gate: &'static Gate,
    memory: Memory,
    length: usize,
}

enum Memory {
    Block(Block),
    Pool(Box<[u8]>),
}

impl Buffer {
    /// `length` bytes of 0. IRQL: up to DISPATCH_LEVEL. `None` when the driver's bytes are used up
    /// or there is no memory.
    pub fn zeroed(gate: &'static Gate, length: usize) -> Option<Self> {
        let charge = charge(gate, length);
        if !gate.bytes.take(charge) {
            gate.counters.quota_refusals.up();
            return None;
        }
        let memory = if length <= gate.blocks.size() {
            gate.blocks.take().map(Memory::Block)
        } else {
            try_zeroed(length).map(Memory::Pool)
        };
        if memory.is_none() {
            gate.bytes.give_back(charge);
        }
        Some(Self {
            gate,
            memory: memory?,
            length,
        })
    }

    /// A copy of `bytes`. IRQL and failure as above.
    pub fn copy_of(gate: &'static Gate, bytes: &[u8]) -> Option<Self> {
        let mut buffer = Self::zeroed(gate, bytes.len())?;
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
        self.gate.bytes.give_back(charge(self.gate, self.length));
    }
}

/// What a buffer costs: a block is a block, however little of it is used.
fn charge(gate: &Gate, length: usize) -> usize {
    length.max(gate.blocks.size())
}
