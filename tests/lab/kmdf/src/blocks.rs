//! Where everything lies that a driver has been given, and what was in it when it was taken back.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};
use tlsgate_lab_control::kmdf::Found;

/// What a block is to the driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// A block of pool.
    Pool,
    /// A memory object's, from a look-aside list or not.
    Memory,
    /// An object's context.
    Context,
    /// A request's system buffer, which is the I/O manager's: the driver has it on loan.
    Buffer,
}

#[derive(Default)]
struct Blocks {
    /// By address: bytes and use.
    live: BTreeMap<usize, (usize, Use)>,
    dead: VecDeque<(Use, Box<[u8]>)>,
    held: usize,
    most: usize,
    forgotten: usize,
}

static BLOCKS: Mutex<Option<Blocks>> = Mutex::new(None);

fn with<T>(act: impl FnOnce(&mut Blocks) -> T) -> T {
    let mut blocks = BLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    act(blocks.get_or_insert_default())
}

/// A block begins to be.
pub fn enter(address: usize, size: usize, kind: Use) {
    with(|blocks| blocks.live.insert(address, (size, kind)));
}

/// A block is about to be freed for good.
pub fn leave(address: usize) {
    with(|blocks| blocks.live.remove(&address));
}

/// Which of these addresses lies in a block, be it one that was taken back a while ago.
pub fn first_within(addresses: &[usize]) -> Option<usize> {
    with(|blocks| {
        let within = |address: usize| {
            let below = blocks.live.range(..=address).next_back();
            below.is_some_and(|(start, (size, _))| address - start < *size)
        };
        addresses.iter().position(|&address| within(address))
    })
}

/// How many bytes of what is taken back are remembered from now on; what was remembered is forgotten.
pub fn remember_up_to(most: usize) {
    with(|blocks| {
        blocks.dead.clear();
        (blocks.held, blocks.forgotten) = (0, 0);
        blocks.most = most;
    });
}

/// The driver has no more to do with these bytes.
pub fn bury(kind: Use, bytes: &[u8]) {
    with(|blocks| {
        if blocks.most == 0 || bytes.is_empty() {
            return;
        }
        blocks.dead.push_back((kind, bytes.into()));
        blocks.held += bytes.len();
        while blocks.held > blocks.most
            && let Some((_, oldest)) = blocks.dead.pop_front()
        {
            blocks.held -= oldest.len();
            blocks.forgotten += 1;
        }
    });
}

/// Looks for bytes in what the driver has, and in what is remembered of what it has given back.
pub fn search(needle: &[u8]) -> Found {
    let has = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    with(|blocks| {
        let mut found = Found {
            remembered: blocks.dead.len(),
            forgotten: blocks.forgotten,
            ..Found::default()
        };
        if needle.is_empty() {
            return found;
        }
        for (&start, &(size, kind)) in &blocks.live {
            let bytes: Vec<u8> = (start..start + size).map(read).collect();
            let count = usize::from(has(&bytes));
            if kind == Use::Buffer {
                found.buffers += count;
            } else {
                found.live += count;
            }
        }
        for (kind, bytes) in &blocks.dead {
            let count = usize::from(has(bytes));
            if *kind == Use::Buffer {
                found.completed += count;
            } else {
                found.freed += count;
            }
        }
        found
    })
}

fn read(address: usize) -> u8 {
    let place = std::ptr::with_exposed_provenance::<u8>(address);
    // SAFETY: within a block, which is not freed before `leave` has had the lock. The driver may be writing
    // to it: what is read then is one byte or the other.
    unsafe { place.read_volatile() }
}
