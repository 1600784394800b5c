//! Faults with pool.

use crate::{faults::Fault, kmdf::poke};
use core::ptr;
use wdk_sys::{
    POOL_FLAG_NON_PAGED, POOL_FLAG_PAGED, POOL_FLAG_UNINITIALIZED, PVOID, ULONG,
    ntddk::{ExAllocatePool2, ExFreePool, ExFreePoolWithTag},
};

const TAG: ULONG = ULONG::from_le_bytes(*b"Wrng");
const SIZE: usize = 24;

/// Commits the fault if it is one with pool.
pub fn commit(fault: Fault) {
    match fault {
        Fault::PoolLeak => _ = allocate(),
        Fault::PoolDoubleFree => {
            let block = allocate();
            free(block);
            free(block);
        }
        Fault::PoolBadFree => free(ptr::without_provenance_mut(0x1_0000)),
        Fault::PoolOverrun => {
            let block = allocate();
            poke(block.cast(), SIZE);
            free(block);
        }
        Fault::PoolTouchedAfterFree => {
            let block = allocate();
            free(block);
            poke(block.cast(), 3);
        }
        Fault::PoolTagMissing => _ = allocate_tagged(SIZE, 0),
        Fault::PoolTagUnprintable => _ = allocate_tagged(SIZE, 0x0102_0304),
        Fault::PoolWrongTag => {
            // SAFETY: none is meant: the lab judges the call.
            unsafe { ExFreePoolWithTag(allocate(), TAG + 1) };
        }
        Fault::PoolBadRequest => _ = allocate_bytes(0),
        _ => (),
    }
}

fn allocate() -> PVOID {
    allocate_bytes(SIZE)
}

/// Zeroed memory, or NULL.
pub fn allocate_bytes(size: usize) -> PVOID {
    allocate_tagged(size, TAG)
}

fn allocate_tagged(size: usize, tag: ULONG) -> PVOID {
    // SAFETY: asks for memory, no more.
    unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, size as _, tag) }
}

/// What a block holds that nobody has initialised.
pub fn fresh_pool() -> [u8; 8] {
    let flags = POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED;
    // SAFETY: asks for memory, no more.
    let block: *const u8 = unsafe { ExAllocatePool2(flags, SIZE as _, TAG) }.cast();
    // SAFETY: none is meant: the block has SIZE bytes, if there is one; the lab judges what is done with them.
    core::array::from_fn(|offset| unsafe { block.wrapping_add(offset).read_volatile() })
}

/// Zeroed pageable memory, or NULL.
pub fn allocate_paged() -> PVOID {
    // SAFETY: asks for memory, no more.
    unsafe { ExAllocatePool2(POOL_FLAG_PAGED, SIZE as _, TAG) }
}

/// Frees a block.
pub fn free(block: PVOID) {
    // SAFETY: none is meant: the lab judges the call.
    unsafe { ExFreePool(block) };
}
