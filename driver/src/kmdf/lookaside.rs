//! Fixed-size blocks of nonpaged memory from a framework look-aside list.

use super::{call::wdf, object};
use crate::nt;
use core::{ptr, ptr::NonNull};
use tlsgate_protocol::NtStatus;
use wdk_sys::{_POOL_TYPE::NonPagedPoolNx, WDFLOOKASIDE, WDFMEMORY};

/// `TlsG`, as the pool's tools show it.
const TAG: u32 = u32::from_le_bytes(*b"TlsG");

/// A list of blocks of one size.
pub struct Lookaside {
    list: WDFLOOKASIDE,
    size: usize,
}

// SAFETY: the framework synchronises the list.
unsafe impl Send for Lookaside {}
// SAFETY: as above.
unsafe impl Sync for Lookaside {}

impl Lookaside {
    /// A list of blocks of `size` bytes, a child of the driver object. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// What `WdfLookasideListCreate` says.
    pub fn new(size: usize) -> Result<Self, NtStatus> {
        let mut list: WDFLOOKASIDE = ptr::null_mut();
        // SAFETY: `list` is ours to write.
        nt::check(unsafe {
            wdf!(
                PFN_WDFLOOKASIDELISTCREATE[WdfLookasideListCreateTableIndex](
                    ptr::null_mut(),
                    size,
                    NonPagedPoolNx,
                    ptr::null_mut(),
                    TAG,
                    &raw mut list
                )
            )
        })?;
        Ok(Self { list, size })
    }

    /// Bytes of a block.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Takes a block, zeroed. IRQL: up to DISPATCH_LEVEL, as the pool is nonpaged.
    pub fn take(&self) -> Option<Block> {
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
        // SAFETY: `memory` was made above.
        let buffer = unsafe {
            wdf!(PFN_WDFMEMORYGETBUFFER[WdfMemoryGetBufferTableIndex](
                memory,
                ptr::null_mut()
            ))
        };
        let start = NonNull::new(buffer.cast::<u8>())?;
        // SAFETY: the block has `size` bytes, and is ours.
        unsafe { start.write_bytes(0, self.size) };
        Some(Block {
            memory,
            start,
            size: self.size,
        })
    }
}

impl Drop for Lookaside {
    fn drop(&mut self) {
        // SAFETY: made by `new`; no block is left: the driver's operations are gone before the gate
        // that owns the list.
        unsafe { object::delete(self.list.cast()) };
    }
}

/// A block; goes back to its list when dropped.
pub struct Block {
    memory: WDFMEMORY,
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: plain memory with one owner.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the block has `size` initialised bytes while `self` lives.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.size) }
    }

    /// The bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.size) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: made by `Lookaside::take`, and nothing uses it any more.
        unsafe { object::delete(self.memory.cast()) };
    }
}
