//! Pool of the driver: every block fenced, counted, and kept for a while after it was freed.

use crate::{
    blocks::{self, Use},
    checks,
    guard::{Block, FREED, first_change},
    irql,
    object::lock,
    site,
    stop::stop,
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{LazyLock, Mutex},
};

/// `POOL_FLAG_UNINITIALIZED`
const UNINITIALIZED: u64 = 0x2;
/// `POOL_FLAG_NON_PAGED`
const NON_PAGED: u64 = 0x40;
/// `POOL_FLAG_PAGED`
const PAGED: u64 = 0x100;

/// Bytes of what links the entries that a look-aside list keeps.
const LINK: usize = 8;

/// Freed blocks that are watched, and bytes in them.
const WATCHED: usize = 256;
const WATCHED_BYTES: usize = 4 << 20;

struct Allocation {
    block: Block,
    tag: u32,
    paged: bool,
    source: Source,
    /// It lies on its look-aside list: nobody's.
    kept: bool,
}

/// How the driver has a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// It has asked the pool for it.
    Pool,
    /// As an entry of the look-aside list with this address.
    List(usize),
}

/// The figures of a report.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    /// Blocks in use.
    pub blocks: usize,
    /// Bytes in them.
    pub bytes: usize,
    /// The highest that was.
    pub peak: usize,
    /// Allocations so far.
    pub allocations: u64,
    /// Those that were made to fail.
    pub refused: u64,
    /// Of none of the above: entries of look-aside lists, those that lie on their lists included.
    pub entries: usize,
    /// Bytes in them.
    pub entry_bytes: usize,
    /// How often a list had none, and one was allocated.
    pub entry_allocations: u64,
}

#[derive(Default)]
struct Pool {
    live: HashMap<usize, Allocation>,
    freed: VecDeque<Block>,
    freed_bytes: usize,
    usage: Usage,
    fail_after: Option<u64>,
    /// The generator of one failure in so many.
    fail_one_in: Option<(u64, u32)>,
}

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);

/// The figures of a report.
pub fn usage() -> Usage {
    lock(&POOL).usage
}

/// Lets so many allocations succeed and the next one fail.
pub fn fail_after(successes: Option<u64>) {
    lock(&POOL).fail_after = successes;
}

/// Lets one in so many allocations fail, drawn by a generator with this seed.
pub fn fail_one_in(wanted: Option<(u64, u32)>) {
    lock(&POOL).fail_one_in = wanted;
}

/// Whether an allocation may succeed, according to [`fail_after`] and [`fail_one_in`].
pub fn may_allocate() -> bool {
    let may = {
        let mut pool = lock(&POOL);
        let may = pool.turn_comes() && pool.is_lucky();
        if !may {
            pool.usage.refused += 1;
        }
        may
    };
    site::asked(may);
    may
}

/// `ExAllocatePool2`
pub fn allocate(flags: u64, size: usize, tag: u32) -> usize {
    if size == 0 {
        stop!("pool-bad-request", "ExAllocatePool2 of 0 bytes");
    }
    if tag == 0 {
        stop!("pool-tag", "ExAllocatePool2 without a tag");
    }
    check_tag("ExAllocatePool2", tag);
    let paged = flags & PAGED != 0;
    if paged == (flags & NON_PAGED != 0) {
        stop!("pool-bad-request", "ExAllocatePool2 with flags {flags:#x}");
    }
    irql::at_most("ExAllocatePool2", highest(paged));
    if !may_allocate() {
        return 0;
    }
    let block = if flags & UNINITIALIZED == 0 {
        Block::zeroed(Use::Pool, size)
    } else {
        Block::fresh(Use::Pool, size)
    };
    let mut pool = lock(&POOL);
    pool.usage.blocks += 1;
    pool.usage.bytes += size;
    pool.usage.peak = pool.usage.peak.max(pool.usage.bytes);
    pool.usage.allocations += 1;
    pool.give(Allocation {
        block,
        tag,
        paged,
        source: Source::Pool,
        kept: false,
    })
}

/// A new entry of a look-aside list, not initialised; 0 when there is no memory.
pub fn allocate_entry(size: usize, tag: u32, list: usize) -> usize {
    if !may_allocate() {
        return 0;
    }
    let block = Block::fresh(Use::Memory, size);
    let mut pool = lock(&POOL);
    pool.usage.entries += 1;
    pool.usage.entry_bytes += size;
    pool.usage.entry_allocations += 1;
    pool.give(Allocation {
        block,
        tag,
        paged: false,
        source: Source::List(list),
        kept: false,
    })
}

/// STOPs unless a tag is one to four characters from space to tilde, or 0.
pub fn check_tag(function: &str, tag: u32) {
    let bytes = tag.to_le_bytes();
    let length = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    if !bytes[..length]
        .iter()
        .all(|byte| (b' '..=b'~').contains(byte))
    {
        stop!("pool-tag", "{function} with tag {tag:#010x}");
    }
}

fn highest(paged: bool) -> u8 {
    if paged { irql::APC } else { irql::DISPATCH }
}

/// `ExFreePool`
pub fn free(address: usize) {
    release(address, None, Source::Pool);
}

/// `ExFreePoolWithTag`; tag 0 matches every block.
pub fn free_with_tag(address: usize, tag: u32) {
    release(address, (tag != 0).then_some(tag), Source::Pool);
}

/// An entry goes back to its look-aside list, which keeps it: but for the list's link nobody writes to it.
pub fn kept(address: usize, list: usize) {
    let mut pool = lock(&POOL);
    let Some(entry) = pool.live.get_mut(&address) else {
        stop!("lookaside-wrong-list", "what is no entry is put on a list");
    };
    if entry.source != Source::List(list) {
        stop!("lookaside-wrong-list", "an entry of {:?}", entry.source);
    }
    if std::mem::replace(&mut entry.kept, true) {
        stop!("pool-double-free", "an entry is put on its list twice");
    }
    blocks::bury(Use::Memory, entry.block.bytes());
    entry.block.bytes_mut().fill(FREED);
}

/// An entry is taken from its look-aside list, which has kept it.
pub fn taken_again(address: usize) {
    let mut pool = lock(&POOL);
    let Some(entry) = pool.live.get_mut(&address) else {
        stop!("pool-double-free", "a list has an entry that was freed");
    };
    if checks::COSTLY {
        let behind = entry.block.bytes().get(LINK..).unwrap_or_default();
        if !entry.kept || first_change(behind, FREED).is_some() || entry.block.overrun().is_some() {
            stop!("pool-touched-after-free", "an entry that its list has kept");
        }
        entry.block.make_fresh();
    }
    entry.kept = false;
}

/// An entry goes back from its look-aside list to the pool.
pub fn free_entry(address: usize, list: usize) {
    release(address, None, Source::List(list));
}

fn release(address: usize, tag: Option<u32>, source: Source) {
    let mut pool = lock(&POOL);
    let Some(allocation) = pool.live.remove(&address) else {
        if pool.freed.iter().any(|block| block.address() == address) {
            stop!("pool-double-free", "{address:#x}");
        }
        stop!("pool-bad-free", "{address:#x} is no block of the driver's");
    };
    if allocation.kept {
        stop!("pool-double-free", "an entry that lies on its list");
    }
    if allocation.source != source {
        stop!(
            "lookaside-wrong-list",
            "a block of {:?} is given back to {source:?}",
            allocation.source
        );
    }
    if tag.is_some_and(|tag| tag != allocation.tag) {
        stop!(
            "pool-wrong-tag",
            "allocated with {}, freed with another",
            name(allocation.tag)
        );
    }
    irql::at_most("ExFreePool", highest(allocation.paged));
    let size = allocation.block.size();
    match source {
        Source::Pool => {
            pool.usage.blocks -= 1;
            pool.usage.bytes -= size;
        }
        Source::List(_) => {
            pool.usage.entries -= 1;
            pool.usage.entry_bytes -= size;
        }
    }
    pool.retire(allocation.block);
}

/// Whether an address lies in a block of paged pool.
pub fn is_paged(address: usize) -> bool {
    lock(&POOL)
        .live
        .values()
        .any(|allocation| allocation.paged && allocation.block.has(address))
}

/// Takes memory from the driver that it had by another way than the pool's functions.
pub fn retire(block: Block) {
    lock(&POOL).retire(block);
}

impl Pool {
    /// The driver has it from here on.
    fn give(&mut self, allocation: Allocation) -> usize {
        let address = allocation.block.address();
        self.live.insert(address, allocation);
        address
    }

    fn turn_comes(&mut self) -> bool {
        match self.fail_after {
            Some(0) => {
                self.fail_after = None;
                false
            }
            Some(left) => {
                self.fail_after = Some(left - 1);
                true
            }
            None => true,
        }
    }

    fn is_lucky(&mut self) -> bool {
        let Some((state, one_in)) = &mut self.fail_one_in else {
            return true;
        };
        // Steele, Lea and Flood's SplitMix64: any seed will do.
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut drawn = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (drawn ^ (drawn >> 31)) % u64::from((*one_in).max(1)) != 0
    }

    /// Fills a block with a pattern and watches it for late writers.
    fn retire(&mut self, mut block: Block) {
        if let Some(place) = block.overrun() {
            stop!(
                "pool-overrun",
                "block of {} bytes, at {place}",
                block.size()
            );
        }
        if !checks::COSTLY {
            return;
        }
        blocks::bury(Use::Pool, block.bytes());
        block.bytes_mut().fill(FREED);
        self.freed_bytes += block.size();
        self.freed.push_back(block);
        while self.freed.len() > WATCHED || self.freed_bytes > WATCHED_BYTES {
            let Some(oldest) = self.freed.pop_front() else {
                break;
            };
            self.freed_bytes -= oldest.size();
            check(&oldest);
        }
    }
}

fn check(block: &Block) {
    let touched = first_change(block.bytes(), FREED).is_some() || block.overrun().is_some();
    if touched {
        stop!("pool-touched-after-free", "block of {} bytes", block.size());
    }
}

/// STOPs when blocks are left, or somebody wrote to freed ones.
pub fn check_at_unload() {
    let mut pool = lock(&POOL);
    if !pool.live.is_empty() {
        let mut tags: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for allocation in pool.live.values() {
            let entry = tags.entry(name(allocation.tag)).or_default();
            entry.0 += 1;
            entry.1 += allocation.block.size();
        }
        stop!("pool-leak", "at unload, by tag (blocks, bytes): {tags:?}");
    }
    pool.freed_bytes = 0;
    pool.freed.drain(..).for_each(|block| check(&block));
}

/// A tag as Windows' tools print it.
fn name(tag: u32) -> String {
    tag.to_le_bytes()
        .iter()
        .map(|&byte| char::from(byte))
        .collect()
}
