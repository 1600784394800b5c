//! Memory of fixed sizes from the framework's look-aside lists.
//!
//! A block that is given back is kept by its list and given out again without the pool. How many are kept
//! the system decides by how often a list is asked ("Using Lookaside Lists" in Windows' documentation); the
//! pool is asked for what is not there.

use super::{
    call::wdf,
    object::{self, plain_attributes},
};
use crate::nt;
use core::{ptr, ptr::NonNull};
use tlsgate_protocol::NtStatus;
use wdk_sys::{_POOL_TYPE::NonPagedPoolNx, WDFLOOKASIDE, WDFMEMORY, WDFMEMORY__, WDFOBJECT};

/// `TlsG`, as the pool's tools show it.
const TAG: u32 = u32::from_le_bytes(*b"TlsG");

/// A list of memory of one size.
pub struct Lookaside {
    list: WDFLOOKASIDE,
    /// The parent of the list and of what is taken from it. A parent's children are kept under its lock
    /// (WDF's published source, `FxObject`): the driver object's would be one for all lists.
    parent: WDFOBJECT,
    size: usize,
}

// SAFETY: the framework synchronises the list.
unsafe impl Send for Lookaside {}
// SAFETY: as above.
unsafe impl Sync for Lookaside {}

impl Lookaside {
    /// A list of memory of `size` bytes. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// What `WdfObjectCreate` or `WdfLookasideListCreate` says.
    pub fn new(size: usize) -> Result<Self, NtStatus> {
        let mut parent: WDFOBJECT = ptr::null_mut();
        // SAFETY: `parent` is ours to write.
        nt::check(unsafe {
            wdf!(PFN_WDFOBJECTCREATE[WdfObjectCreateTableIndex](
                ptr::null_mut(),
                &raw mut parent
            ))
        })?;
        // From here on its drop deletes both.
        let mut new = Self {
            list: ptr::null_mut(),
            parent,
            size,
        };
        let mut attributes = plain_attributes();
        attributes.ParentObject = parent;
        let attributes = &raw mut attributes;
        let list = &raw mut new.list;
        // SAFETY: `list` is ours to write; the framework copies the attributes.
        nt::check(unsafe {
            wdf!(
                PFN_WDFLOOKASIDELISTCREATE[WdfLookasideListCreateTableIndex](
                    attributes,
                    size,
                    NonPagedPoolNx,
                    attributes,
                    TAG,
                    list
                )
            )
        })?;
        Ok(new)
    }

    /// Bytes of a piece.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Takes memory of [`Self::size`] bytes, which are not initialised. IRQL: up to DISPATCH_LEVEL, as the
    /// pool is nonpaged.
    pub fn take(&self) -> Option<(Memory, NonNull<u8>)> {
        let mut memory: WDFMEMORY = ptr::null_mut();
        // SAFETY: the list lives as long as `self`; `memory` is ours to write.
        nt::check(unsafe {
            wdf!(PFN_WDFMEMORYCREATEFROMLOOKASIDE
                [WdfMemoryCreateFromLookasideTableIndex](
                self.list,
                &raw mut memory
            ))
        })
        .ok()?;
        let memory = Memory(NonNull::new(memory)?);
        // SAFETY: `memory` was made above.
        let buffer = unsafe {
            wdf!(PFN_WDFMEMORYGETBUFFER[WdfMemoryGetBufferTableIndex](
                memory.0.as_ptr(),
                ptr::null_mut()
            ))
        };
        Some((memory, NonNull::new(buffer.cast::<u8>())?))
    }

    /// Takes a block of `length` bytes of 0. IRQL: as above. `None` when there is no memory, or that is more
    /// than [`Self::size`].
    pub fn zeroed(&self, length: usize) -> Option<Block> {
        // SAFETY: the first `length` bytes are the block's, see there.
        self.block(length, |start| unsafe { start.write_bytes(0, length) })
    }

    /// Takes a block with a copy of `bytes`. IRQL and failure as above.
    pub fn copy_of(&self, bytes: &[u8]) -> Option<Block> {
        // SAFETY: as many bytes are the block's, which nothing else refers to.
        self.block(bytes.len(), |start| unsafe {
            start.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
        })
    }

    /// `fill` initialises the first `length` bytes, which are all that the block has.
    fn block(&self, length: usize, fill: impl FnOnce(NonNull<u8>)) -> Option<Block> {
        if length > self.size {
            return None;
        }
        let (memory, start) = self.take()?;
        fill(start);
        Some(Block {
            _memory: memory,
            start,
            length,
        })
    }
}

impl Drop for Lookaside {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nothing takes from the list, its child, any more. The driver's operations,
        // sessions and requests are gone before the gate that owns it; what was leaked on purpose, where there
        // was no memory to do better, is not touched again.
        unsafe { object::delete(self.parent) };
    }
}

/// Memory of a list; goes back to it when dropped.
pub struct Memory(NonNull<WDFMEMORY__>);

// SAFETY: the framework synchronises its handles.
unsafe impl Send for Memory {}
// SAFETY: as above; `&Memory` gives nothing.
unsafe impl Sync for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: made by `Lookaside::take`, and nothing uses it any more: who owns the memory by this
        // value has dropped what is in it, or moved it away.
        unsafe { object::delete(self.0.as_ptr().cast()) };
    }
}

/// Bytes in memory of a list.
pub struct Block {
    start: NonNull<u8>,
    /// Initialised, and no more than the memory has.
    length: usize,
    _memory: Memory,
}

// SAFETY: plain memory with one owner.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: so many initialised bytes are there while `self` lives.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    /// The bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}
