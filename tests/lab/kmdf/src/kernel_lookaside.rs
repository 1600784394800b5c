//! `LOOKASIDE_LIST_EX`: the kernel's own look-aside lists.
//!
//! What takes from such a list and gives back to it is compiled into the driver, as `wdm.h` has it inline: it looks
//! for an entry on the list itself, and calls the list's functions only when there is none, or too many. How many
//! entries a list keeps is the system's choice, and a switch here ([`set_depth`]): usually none, so that each comes
//! from the pool with fences around it, and is watched when it has gone back. What is kept is filled with a pattern.

use crate::{
    call, checks, ffi::Out, irql::DISPATCH, layout::NtStatus, object::lock, pool, stack, stop::stop,
};
use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicU16, Ordering},
    },
};
use windows_sys::Win32::Foundation::STATUS_SUCCESS;

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn ExpInterlockedPopEntrySList(head: usize) -> usize;
    fn ExpInterlockedPushEntrySList(head: usize, entry: usize) -> usize;
    fn ExQueryDepthSList(head: usize) -> u16;
}

/// `EX_MAXIMUM_LOOKASIDE_DEPTH_BASE` of `wdm.h`: what a list keeps at most, and where it is measured.
const MOST: u16 = 256;

/// What lists keep.
static DEPTH: AtomicU16 = AtomicU16::new(if checks::COSTLY { 0 } else { MOST });

/// So many more may be put on a list that keeps any: between a look at its depth and that others do the same.
const AT_ONCE: u16 = 64;

/// `NonPagedPoolNx`
const NON_PAGED_NX: i32 = 512;

/// `LOOKASIDE_MINIMUM_BLOCK_SIZE`: the link of a free entry.
const LEAST: usize = 8;

type Allocate = extern "system" fn(kind: i32, size: usize, tag: u32, list: usize) -> usize;
type Free = extern "system" fn(entry: usize, list: usize);

/// `LOOKASIDE_LIST_EX` on x64, from the public `wdm.h`.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct List {
    head: [u64; 2],
    depth: u16,
    maximum_depth: u16,
    total_allocates: u32,
    allocate_misses: u32,
    total_frees: u32,
    free_misses: u32,
    kind: i32,
    tag: u32,
    size: u32,
    allocate: Allocate,
    free: Free,
    links: [usize; 2],
    last_total_allocates: u32,
    last_allocate_misses: u32,
    future: [u32; 2],
}

const _: () = assert!(size_of::<List>() == 96 && std::mem::offset_of!(List, allocate) == 48);

/// The lists that there are.
static LISTS: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

/// `ExInitializeLookasideListEx`
#[expect(clippy::too_many_arguments, reason = "Microsoft's signature")]
pub fn initialize(
    list: usize,
    allocate: usize,
    free: usize,
    kind: i32,
    flags: u32,
    size: usize,
    tag: u32,
    depth: u16,
) -> NtStatus {
    let bad = |what: &str| stop!("lookaside-bad-request", "a list {what}");
    if !list.is_multiple_of(16) {
        bad("that is not aligned to 16 bytes");
    }
    if pool::is_paged(list) {
        bad("in paged pool");
    }
    if allocate != 0 || free != 0 || kind != NON_PAGED_NX || flags != 0 {
        stop!(
            "unimplemented",
            "ExInitializeLookasideListEx but for NonPagedPoolNx, without functions and flags"
        );
    }
    let Some(entry) = u32::try_from(size).ok().filter(|_| size >= LEAST) else {
        bad("of entries that no link fits in")
    };
    if depth != 0 {
        bad("with a depth, which is reserved");
    }
    if tag == 0 {
        stop!("pool-tag", "ExInitializeLookasideListEx without a tag");
    }
    pool::check_tag("ExInitializeLookasideListEx", tag);
    let mut lists = lock(&LISTS);
    if lists.contains(&list) {
        bad("that is one already");
    }
    Out::at(list).set(List {
        head: [0; 2],
        depth: DEPTH.load(Ordering::Relaxed),
        maximum_depth: MOST,
        total_allocates: 0,
        allocate_misses: 0,
        total_frees: 0,
        free_misses: 0,
        kind,
        tag,
        size: entry,
        allocate: allocate_entry,
        free: free_entry,
        links: [0; 2],
        last_total_allocates: 0,
        last_allocate_misses: 0,
        future: [0; 2],
    });
    lists.insert(list);
    STATUS_SUCCESS
}

/// Lists keep so many entries from now on, as the system may decide at any time.
pub fn set_depth(depth: u16) {
    let depth = depth.min(MOST);
    if checks::COSTLY && DEPTH.swap(depth, Ordering::Relaxed) != depth {
        for &list in lock(&LISTS).iter() {
            Out::<u16>::at(list + std::mem::offset_of!(List, depth)).set(depth);
        }
    }
}

/// `ExDeleteLookasideListEx`: frees what is on the list. What is not must not come back.
pub fn delete(list: usize) {
    if !lock(&LISTS).remove(&list) {
        stop!(
            "lookaside-bad-request",
            "{list:#x} is deleted and is no list"
        );
    }
    loop {
        // SAFETY: a list that was initialised, which nobody may use any more.
        let entry = unsafe { ExpInterlockedPopEntrySList(list) };
        if entry == 0 {
            break;
        }
        pool::taken_again(entry);
        pool::free_entry(entry, list);
    }
}

/// `ExpInterlockedPopEntrySList`: of any such list, be it a look-aside list's or not.
pub fn pop(head: usize) -> usize {
    // SAFETY: as the driver asked.
    let entry = unsafe { ExpInterlockedPopEntrySList(head) };
    if checks::COSTLY && entry != 0 && lock(&LISTS).contains(&head) {
        pool::taken_again(entry);
    }
    entry
}

/// `ExpInterlockedPushEntrySList`, likewise.
pub fn push(head: usize, entry: usize) -> usize {
    if checks::COSTLY && lock(&LISTS).contains(&head) {
        let most = Out::<List>::at(head).get().map_or(0, |list| list.depth);
        let bound = if most == 0 { 0 } else { most + AT_ONCE };
        // SAFETY: a list that is initialised.
        if unsafe { ExQueryDepthSList(head) } >= bound {
            stop!(
                "lookaside-overfull",
                "{head:#x} keeps {most} entries at most"
            );
        }
        pool::kept(entry, head);
    }
    // SAFETY: as the driver asked.
    unsafe { ExpInterlockedPushEntrySList(head, entry) }
}

/// Entries that lists keep, and the bytes in them: the driver does not have these.
pub fn kept() -> (usize, usize) {
    let lists = lock(&LISTS);
    lists.iter().fold((0, 0), |(entries, bytes), &list| {
        let size = Out::<List>::at(list)
            .get()
            .map_or(0, |list| list.size as usize);
        // SAFETY: a list that is initialised; its deletion waits for the lock.
        let more = usize::from(unsafe { ExQueryDepthSList(list) });
        (entries + more, bytes + more * size)
    })
}

/// STOPs when a list is left.
pub fn check_at_unload() {
    let left = lock(&LISTS).len();
    if left > 0 {
        stop!("lookaside-leak", "{left} look-aside lists at unload");
    }
}

extern "system" fn allocate_entry(kind: i32, size: usize, tag: u32, list: usize) -> usize {
    stack::look();
    call::from_driver("ExAllocateFromLookasideListEx", DISPATCH, move || {
        let of_list = of(list);
        if (kind, size, tag) != (of_list.kind, of_list.size as usize, of_list.tag) {
            stop!(
                "lookaside-bad-request",
                "an entry of another kind, size or tag than the list's"
            );
        }
        pool::allocate_entry(size, tag, list)
    })
}

extern "system" fn free_entry(entry: usize, list: usize) {
    stack::look();
    call::from_driver("ExFreeToLookasideListEx", DISPATCH, move || {
        _ = of(list);
        pool::free_entry(entry, list);
    });
}

/// What there is at a list's address, which must be one still.
fn of(list: usize) -> List {
    let found = lock(&LISTS).contains(&list).then(|| Out::at(list).get());
    found.flatten().unwrap_or_else(|| {
        stop!(
            "lookaside-use-after-delete",
            "{list:#x} is no list any more"
        )
    })
}
