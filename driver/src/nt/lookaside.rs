//! Memory of fixed sizes from the kernel's look-aside lists.
//!
//! A block that is given back is kept by its list and given out again without the pool and without a lock. How
//! many are kept the system decides by how often a list is asked ("Using Lookaside Lists" in Windows'
//! documentation); the pool is asked for what is not there. The framework's own lists would make an object of
//! every block.
//!
//! What takes from such a list and gives back to it is compiled into drivers, as `wdm.h` has it inline
//! (`ExAllocateFromLookasideListEx`, `ExFreeToLookasideListEx`). Windows 11 22H2 exports both as well (their
//! pages), which older systems do not; [`Lookaside::take`] and the drop of [`Memory`] are theirs, on the public
//! structure, whose layout `crate::layout` asserts.

use super::check;
use crate::memory::try_box;
use alloc::boxed::Box;
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU16, AtomicU32, Ordering::Relaxed},
};
use tlsgate_protocol::NtStatus;
use wdk_sys::{
    _POOL_TYPE::NonPagedPoolNx,
    LOOKASIDE_LIST_EX, PSLIST_HEADER, SLIST_ENTRY,
    ntddk::{
        ExDeleteLookasideListEx, ExInitializeLookasideListEx, ExQueryDepthSList,
        ExpInterlockedPopEntrySList, ExpInterlockedPushEntrySList,
    },
};

/// `TlsG`, as the pool's tools show it.
const TAG: u32 = u32::from_le_bytes(*b"TlsG");

/// A list of memory of one size.
pub struct Lookaside {
    /// In the pool, where it stays until the drop.
    list: List,
    size: usize,
}

// SAFETY: the kernel's functions synchronise the list, and what is counted here is counted atomically.
unsafe impl Send for Lookaside {}
// SAFETY: as above.
unsafe impl Sync for Lookaside {}

impl Lookaside {
    /// A list of memory of `size` bytes, nonpaged. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// The size is less than that of a free entry's link; the pool is empty; or what
    /// `ExInitializeLookasideListEx` says.
    pub fn new(size: usize) -> Result<Self, NtStatus> {
        if size < size_of::<SLIST_ENTRY>() {
            return Err(NtStatus::STATUS_INVALID_PARAMETER);
        }
        let list = try_box(LOOKASIDE_LIST_EX::default())
            .map_err(|_| NtStatus::STATUS_INSUFFICIENT_RESOURCES)?;
        let list = NonNull::from(Box::leak(list));
        // No functions: the system's own ask the pool. No flags: where there is no memory they give null.
        // SAFETY: nonpaged memory of the structure's size and alignment (`try_box`), which nothing uses yet.
        let made = check(unsafe {
            ExInitializeLookasideListEx(
                list.as_ptr(),
                None,
                None,
                NonPagedPoolNx,
                0,
                size as u64,
                TAG,
                0,
            )
        });
        if let Err(status) = made {
            // SAFETY: from `try_box`, and no list.
            drop(unsafe { Box::from_raw(list.as_ptr()) });
            return Err(status);
        }
        Ok(Self {
            list: List(list),
            size,
        })
    }

    /// Bytes of a piece.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Takes memory of [`Self::size`] bytes, aligned to 16, which are not initialised. IRQL: up to
    /// DISPATCH_LEVEL, as the pool is nonpaged. `None` when there is no memory.
    pub fn take(&self) -> Option<(Memory, NonNull<u8>)> {
        let start = self.list.take()?;
        let list = self.list;
        Some((Memory { list, start }, start))
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
        // SAFETY: initialised by `new`, and nothing uses the list any more: the driver's operations, sessions and
        // requests are gone before the gate that owns it.
        unsafe { ExDeleteLookasideListEx(self.list.0.as_ptr()) };
        // SAFETY: from `try_box`, and a list no more.
        drop(unsafe { Box::from_raw(self.list.0.as_ptr()) });
    }
}

/// The address of a list that is initialised, and not deleted before who has this is gone: `Lookaside` makes it,
/// and [`Memory`] keeps it no longer than the gate keeps the lists (the drop of `Lookaside`).
#[derive(Clone, Copy)]
struct List(NonNull<LOOKASIDE_LIST_EX>);

impl List {
    /// An entry of the list, or else of the pool.
    fn take(self) -> Option<NonNull<u8>> {
        // SAFETY: the list lives, by this type's promise.
        let statistics = unsafe { &raw mut (*self.0.as_ptr()).L };
        // SAFETY: as above.
        count(unsafe { &raw mut (*statistics).TotalAllocates });
        // SAFETY: the head of a list that lives.
        let entry = unsafe { ExpInterlockedPopEntrySList(self.head()) };
        if let Some(entry) = NonNull::new(entry) {
            return Some(entry.cast());
        }
        // SAFETY: the list lives.
        count(unsafe { &raw mut (*statistics).__bindgen_anon_2.AllocateMisses });
        // SAFETY: as above.
        let allocate = unsafe { &raw const (*statistics).__bindgen_anon_4.AllocateEx };
        // SAFETY: initialised, and not written since.
        let allocate = unsafe { allocate.read() }?;
        // SAFETY: as above.
        let kind = unsafe { (*statistics).Type };
        // SAFETY: as above.
        let size = unsafe { (*statistics).Size };
        // SAFETY: as above.
        let tag = unsafe { (*statistics).Tag };
        // SAFETY: the list's own function, with what the list says of itself.
        let entry = unsafe { allocate(kind, size.into(), tag, self.0.as_ptr()) };
        NonNull::new(entry.cast())
    }

    /// Gives an entry back: to the list, or to the pool when the list has enough.
    ///
    /// # Safety
    ///
    /// [`Self::take`] gave it, for this list, and nothing uses it any more.
    unsafe fn give_back(self, entry: NonNull<u8>) {
        // SAFETY: the list lives, by this type's promise.
        let statistics = unsafe { &raw mut (*self.0.as_ptr()).L };
        // SAFETY: as above.
        count(unsafe { &raw mut (*statistics).TotalFrees });
        // SAFETY: as above.
        let most = unsafe { &raw mut (*statistics).Depth };
        // SAFETY: a field of a list that lives. The system may change it meanwhile: either value will do.
        let most = unsafe { AtomicU16::from_ptr(most) }.load(Relaxed);
        // SAFETY: the head of a list that lives.
        if unsafe { ExQueryDepthSList(self.head()) } < most {
            // SAFETY: as above; the entry is its owner's to give (this function's contract), aligned as the pool
            // aligns, and larger than a link.
            unsafe { ExpInterlockedPushEntrySList(self.head(), entry.as_ptr().cast()) };
            return;
        }
        // SAFETY: the list lives.
        count(unsafe { &raw mut (*statistics).__bindgen_anon_3.FreeMisses });
        // SAFETY: as above.
        let free = unsafe { &raw const (*statistics).__bindgen_anon_5.FreeEx };
        // SAFETY: initialised, and not written since.
        if let Some(free) = unsafe { free.read() } {
            // SAFETY: the list's own function, for an entry that is its owner's to give.
            unsafe { free(entry.as_ptr().cast(), self.0.as_ptr()) };
        }
    }

    fn head(self) -> PSLIST_HEADER {
        // SAFETY: the list lives, by this type's promise.
        unsafe { &raw mut (*self.0.as_ptr()).L.__bindgen_anon_1.ListHead }
    }
}

/// Counts for the system, which sets a list's depth by it. Two at once may count as one, as in `wdm.h`.
fn count(counter: *mut u32) {
    // SAFETY: a field of a list that lives (`List`), which is only counted up here and read by the system.
    let counter = unsafe { AtomicU32::from_ptr(counter) };
    counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
}

/// Memory of a list; goes back to it when dropped.
pub struct Memory {
    list: List,
    start: NonNull<u8>,
}

// SAFETY: plain memory with one owner, and a list that synchronises itself.
unsafe impl Send for Memory {}
// SAFETY: as above; `&Memory` gives nothing.
unsafe impl Sync for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: made by `Lookaside::take`, and nothing uses it any more: who owns the memory by this
        // value has dropped what is in it, or moved it away.
        unsafe { self.list.give_back(self.start) };
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
