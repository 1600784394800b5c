//! A leg's input: as it came, and the copy that Schannel works on.

use crate::{
    buffer::Buffer, handle::Handle, nt::lookaside::Lookaside, quota::Charge, shared::Shared,
};
use core::ops::Range;
use tlsgate_protocol::NtStatus;

/// The caller's bytes as they came: a repeated call needs them unspoilt, and Schannel may decrypt its input in
/// place.
pub struct Input {
    /// The bytes, and behind them room for the working copy where a block has that.
    memory: Buffer,
    length: usize,
    /// The working copy, where there is no such room.
    apart: Option<Buffer>,
    /// What it costs while it waits; the other buffers are bounded by admission.
    _charge: Charge,
}

impl Input {
    /// Copies them, charged to the handle. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// A quota is used up, or there is no memory.
    pub fn copy_of(handle: &Shared<Handle>, bytes: &[u8]) -> Result<Self, NtStatus> {
        let charge = Charge::take(handle, bytes.len())?;
        let blocks = &handle.gate.lists.blocks;
        let with_room = bytes
            .len()
            .checked_mul(2)
            .filter(|both| *both <= blocks.size());
        let memory = match with_room {
            Some(both) => Buffer::starting_with(blocks, bytes, both),
            None => Buffer::copy_of(blocks, bytes),
        };
        Ok(Self {
            memory: memory.ok_or(NtStatus::STATUS_INSUFFICIENT_RESOURCES)?,
            length: bytes.len(),
            apart: None,
            _charge: charge,
        })
    }

    /// The bytes as they came.
    pub fn bytes(&self) -> &[u8] {
        self.memory.bytes().get(..self.length).unwrap_or_default()
    }

    /// A fresh copy of a part, for the next call. It stays where it is until the one after. IRQL: up to
    /// DISPATCH_LEVEL. `None` when there is no memory.
    pub fn working(&mut self, blocks: &Lookaside, part: Range<usize>) -> Option<&mut [u8]> {
        // A repeated call gives the old one back first.
        self.apart = None;
        let (came, room) = self.memory.bytes_mut().split_at_mut_checked(self.length)?;
        let part = came.get(part)?;
        if room.len() < part.len() {
            return Some(
                self.apart
                    .insert(Buffer::copy_of(blocks, part)?)
                    .bytes_mut(),
            );
        }
        let working = room.get_mut(..part.len())?;
        for (place, byte) in working.iter_mut().zip(part) {
            *place = *byte;
        }
        Some(working)
    }
}
