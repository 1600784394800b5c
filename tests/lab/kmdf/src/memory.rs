//! `WDFMEMORY`: a block of memory that is an object.

use crate::{
    attributes::Attributes,
    blocks::Use,
    driver,
    ffi::{In, Out},
    guard::Block,
    handle::{Handle, Kind},
    layout::{NtStatus, ObjectAttributes},
    object::{self, Body, Ref, lock},
    pool,
    stop::stop,
};
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};
use windows_sys::Win32::Foundation::{STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS};

/// A block of memory.
pub struct Memory {
    block: Mutex<Option<Block>>,
    address: usize,
    size: usize,
    from_lookaside: bool,
}

impl Body for Memory {
    const KIND: Kind = Kind::Memory;

    fn freed(&self) {
        GIVEN_BLOCKS.fetch_sub(1, Ordering::Relaxed);
        GIVEN_BYTES.fetch_sub(self.size, Ordering::Relaxed);
        if let Some(block) = lock(&self.block).take() {
            pool::retire(block);
        }
    }
}

static GIVEN_BLOCKS: AtomicUsize = AtomicUsize::new(0);
static GIVEN_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Memory objects that the driver has, and the bytes in them.
#[cfg(feature = "bench")]
pub fn given() -> (usize, usize) {
    let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
    (count(&GIVEN_BLOCKS), count(&GIVEN_BYTES))
}

/// Memory objects of look-aside lists.
pub fn from_lookaside() -> usize {
    object::all::<Memory>()
        .iter()
        .filter(|memory| memory.from_lookaside)
        .count()
}

/// Bytes in memory objects.
pub fn bytes() -> usize {
    let all = object::all::<Memory>();
    let there = all.iter().filter(|memory| lock(&memory.block).is_some());
    there.map(|memory| memory.size).sum()
}

/// Makes a memory object; the memory is not initialised. `None` when there is none.
pub fn allocate(
    attributes: &Attributes,
    parent: Handle,
    size: usize,
    from_lookaside: bool,
) -> Option<Ref<Memory>> {
    if !pool::may_allocate() {
        return None;
    }
    GIVEN_BLOCKS.fetch_add(1, Ordering::Relaxed);
    GIVEN_BYTES.fetch_add(size, Ordering::Relaxed);
    let block = Block::fresh(Use::Memory, size);
    let address = block.address();
    let body = Memory {
        block: Mutex::new(Some(block)),
        address,
        size,
        from_lookaside,
    };
    Some(object::create(attributes, Some(parent), body))
}

/// `WdfMemoryCreate`
pub fn create(
    attributes: In<ObjectAttributes>,
    _pool: u32,
    tag: u32,
    size: usize,
    result: Out<Handle>,
    buffer: Out<usize>,
) -> NtStatus {
    // 0 is the framework's own.
    pool::check_tag("WdfMemoryCreate", tag);
    if size == 0 {
        stop!("pool-bad-request", "WdfMemoryCreate of 0 bytes");
    }
    let attributes = Attributes::read(attributes);
    let Some(memory) = allocate(&attributes, driver::handle(), size, false) else {
        return STATUS_INSUFFICIENT_RESOURCES;
    };
    buffer.set_if_wanted(memory.address);
    result.set(memory.handle());
    STATUS_SUCCESS
}

/// `WdfMemoryGetBuffer`
pub fn buffer(handle: Handle, size: Out<usize>) -> usize {
    let memory = object::find_even_deleted::<Memory>(handle);
    size.set_if_wanted(memory.size);
    memory.address
}
