//! Memory for what a driver is given, far from everything else: an address there is told from a count, a
//! length and an id by its value alone. (Wine's own heaps and images lie low, where those are.)

use crate::{object::lock, stop::lab_failed};
use std::{
    ops::{Deref, DerefMut},
    sync::Mutex,
};
use windows_sys::Win32::System::Memory::{MEM_COMMIT, MEM_RESERVE, PAGE_READWRITE, VirtualAlloc};

/// Where it starts.
const START: usize = 0x5A5A_8000_0000;
/// Address space for it.
const SIZE: usize = 2 << 30;
/// How much is committed at a time.
const STEP: usize = 1 << 20;

/// Two counts side by side can have any upper half that an address has here; the lower half of each address is
/// larger than any count.
const _: () = assert!(START & (u32::MAX as usize) >= SIZE && SIZE == 1 << 31);

/// Bytes of a unit.
const UNIT: usize = size_of::<u128>();

#[derive(Default)]
struct Arena {
    /// Pieces that were given back, by the power of two that their units are.
    free: [Vec<usize>; 32],
    used: usize,
    committed: usize,
}

static ARENA: Mutex<Option<Arena>> = Mutex::new(None);

/// Whether an address lies where blocks can be.
pub fn has(address: usize) -> bool {
    (START..START + SIZE).contains(&address)
}

/// So many units of 16 bytes; given back when dropped.
#[derive(Debug)]
pub struct Units {
    start: usize,
    count: usize,
}

impl Units {
    /// Zeros, or what was there before.
    pub fn new(count: usize) -> Self {
        let start = lock(&ARENA).get_or_insert_default().take(class(count));
        Self { start, count }
    }
}

impl Deref for Units {
    type Target = [u128];

    fn deref(&self) -> &[u128] {
        let start = std::ptr::with_exposed_provenance(self.start);
        // SAFETY: committed memory, of which this value has so many units alone; any bytes are integers.
        unsafe { std::slice::from_raw_parts(start, self.count) }
    }
}

impl DerefMut for Units {
    fn deref_mut(&mut self) -> &mut [u128] {
        let start = std::ptr::with_exposed_provenance_mut(self.start);
        // SAFETY: as above, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(start, self.count) }
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        let mut arena = lock(&ARENA);
        if let Some(free) = arena
            .get_or_insert_default()
            .free
            .get_mut(class(self.count))
        {
            free.push(self.start);
        }
    }
}

/// The power of two that so many units fit in.
fn class(count: usize) -> usize {
    count.max(1).next_power_of_two().trailing_zeros() as usize
}

impl Arena {
    fn take(&mut self, class: usize) -> usize {
        if let Some(start) = self.free.get_mut(class).and_then(Vec::pop) {
            return start;
        }
        if self.used == 0 {
            allocate(START, SIZE, MEM_RESERVE);
        }
        let start = START + self.used;
        self.used += UNIT << class;
        if self.used > SIZE {
            lab_failed!("{} bytes for the driver", self.used);
        }
        while self.committed < self.used {
            allocate(START + self.committed, STEP, MEM_COMMIT);
            self.committed += STEP;
        }
        start
    }
}

fn allocate(start: usize, size: usize, how: u32) {
    // SAFETY: memory that nobody has, or address space that is reserved already.
    let got = unsafe { VirtualAlloc(start as *const _, size, how, PAGE_READWRITE) };
    if got as usize != start {
        lab_failed!("{size} bytes at {start:#x} for the driver");
    }
    // What is made of addresses later refers to this memory.
    _ = got.expose_provenance();
}
