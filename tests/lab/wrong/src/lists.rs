//! Faults with the kernel's look-aside lists.

use crate::{faults::Fault, kmdf::poke, pool};
use core::cell::UnsafeCell;
use wdk_sys::{
    _POOL_TYPE::{NonPagedPoolNx, PagedPool},
    LOOKASIDE_LIST_EX, POOL_TYPE, PVOID, ULONG,
    ntddk::{ExDeleteLookasideListEx, ExInitializeLookasideListEx, ExpInterlockedPushEntrySList},
};

const TAG: ULONG = ULONG::from_le_bytes(*b"Wrng");
/// Bytes of an entry.
const SIZE: usize = 64;

/// Memory for a list.
struct Place(UnsafeCell<LOOKASIDE_LIST_EX>);

// SAFETY: none is meant: one IOCTL commits one fault.
unsafe impl Sync for Place {}

static ONE: Place = Place::new();
static TWO: Place = Place::new();

/// Commits the fault if it is one with such lists.
pub fn commit(fault: Fault) {
    match fault {
        Fault::KernelListLeak => ONE.initialize(0),
        Fault::KernelListEntryLeak => {
            ONE.initialize(0);
            ONE.take();
            ONE.delete();
        }
        Fault::KernelListUnaligned => initialize(ONE.0.get().wrapping_byte_add(8), SIZE, 0),
        Fault::KernelListPaged => initialize(pool::allocate_paged().cast(), SIZE, 0),
        Fault::KernelListTooSmall => initialize(ONE.0.get(), 4, 0),
        Fault::KernelListOtherKind => {
            ONE.initialize(0);
            ONE.take_of(PagedPool);
        }
        Fault::KernelListBlockOfPool => {
            ONE.initialize(0);
            ONE.give_back(pool::allocate_bytes(SIZE));
        }
        Fault::KernelListWithDepth => ONE.initialize(4),
        Fault::KernelListTwice => {
            ONE.initialize(0);
            ONE.initialize(0);
        }
        Fault::KernelListDeletedTwice => {
            ONE.initialize(0);
            ONE.delete();
            ONE.delete();
        }
        Fault::KernelListUsedAfterDelete => {
            ONE.initialize(0);
            ONE.delete();
            ONE.take();
        }
        Fault::KernelListGivenAfterDelete => {
            ONE.initialize(0);
            let entry = ONE.take();
            ONE.delete();
            ONE.give_back(entry);
        }
        Fault::KernelListOfAnother => {
            ONE.initialize(0);
            TWO.initialize(0);
            TWO.give_back(ONE.take());
        }
        Fault::KernelListEntryFreed => {
            ONE.initialize(0);
            pool::free(ONE.take());
        }
        Fault::KernelListOverfull => {
            ONE.initialize(0);
            ONE.push(ONE.take());
        }
        Fault::KernelListEntryTwice => {
            ONE.initialize(0);
            let entry = ONE.take();
            ONE.give_back(entry);
            ONE.give_back(entry);
        }
        Fault::KernelListOverrun => {
            ONE.initialize(0);
            let entry = ONE.take();
            poke(entry.cast(), SIZE);
            ONE.give_back(entry);
        }
        Fault::KernelListTouchedAfterFree => {
            ONE.initialize(0);
            let entry = ONE.take();
            ONE.give_back(entry);
            poke(entry.cast(), 0);
            ONE.delete();
        }
        _ => (),
    }
}

impl Place {
    const fn new() -> Self {
        // SAFETY: the structure is numbers, pointers and functions that may be missing.
        Self(UnsafeCell::new(unsafe { core::mem::zeroed() }))
    }

    fn initialize(&self, depth: u16) {
        initialize(self.0.get(), SIZE, depth);
    }

    fn delete(&self) {
        // SAFETY: none is meant: the lab judges the call.
        unsafe { ExDeleteLookasideListEx(self.0.get()) };
    }

    /// As `ExAllocateFromLookasideListEx` does from a list that keeps nothing, as the lab's do.
    fn take(&self) -> PVOID {
        self.take_of(NonPagedPoolNx)
    }

    fn take_of(&self, kind: POOL_TYPE) -> PVOID {
        let list = self.0.get();
        // SAFETY: none is meant: the lab judges the call.
        let allocate = unsafe { &raw const (*list).L.__bindgen_anon_4.AllocateEx };
        // SAFETY: as above.
        unsafe { allocate.read_volatile() }.map_or(core::ptr::null_mut(), |allocate| {
            // SAFETY: as above.
            unsafe { allocate(kind, SIZE as _, TAG, list) }
        })
    }

    fn push(&self, entry: PVOID) {
        // SAFETY: none is meant: the lab judges the call.
        let head = unsafe { &raw mut (*self.0.get()).L.__bindgen_anon_1.ListHead };
        // SAFETY: as above.
        unsafe { ExpInterlockedPushEntrySList(head, entry.cast()) };
    }

    /// As `ExFreeToLookasideListEx` does, likewise.
    fn give_back(&self, entry: PVOID) {
        let list = self.0.get();
        // SAFETY: none is meant: the lab judges the call.
        let free = unsafe { &raw const (*list).L.__bindgen_anon_5.FreeEx };
        // SAFETY: as above.
        if let Some(free) = unsafe { free.read_volatile() } {
            // SAFETY: as above.
            unsafe { free(entry, list) };
        }
    }
}

fn initialize(list: *mut LOOKASIDE_LIST_EX, size: usize, depth: u16) {
    // SAFETY: none is meant: the lab judges the call.
    let _status = unsafe {
        ExInitializeLookasideListEx(list, None, None, NonPagedPoolNx, 0, size as _, TAG, depth)
    };
}
