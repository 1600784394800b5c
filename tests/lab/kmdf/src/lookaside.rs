//! `WDFLOOKASIDE`: memory objects of one size. Nothing is kept for reuse, so that late writers are
//! seen.

use crate::{
    attributes::Attributes,
    driver,
    ffi::{In, Out},
    handle::{Handle, Kind},
    layout::{NtStatus, ObjectAttributes},
    memory,
    object::{self, Body},
    pool,
    stop::stop,
};
use windows_sys::Win32::Foundation::{STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS};

struct Lookaside {
    size: usize,
    memory: Attributes,
}

impl Body for Lookaside {
    const KIND: Kind = Kind::Lookaside;
}

/// `WdfLookasideListCreate`
pub fn create(
    attributes: In<ObjectAttributes>,
    size: usize,
    _pool: u32,
    memory: In<ObjectAttributes>,
    tag: u32,
    result: Out<Handle>,
) -> NtStatus {
    // 0 is the framework's own.
    pool::check_tag("WdfLookasideListCreate", tag);
    if size == 0 {
        stop!("pool-bad-request", "WdfLookasideListCreate of 0 bytes");
    }
    let attributes = Attributes::read(attributes);
    let body = Lookaside {
        size,
        memory: Attributes::read(memory),
    };
    result.set(object::create(&attributes, Some(driver::handle()), body).handle());
    STATUS_SUCCESS
}

/// `WdfMemoryCreateFromLookaside`
pub fn take(handle: Handle, result: Out<Handle>) -> NtStatus {
    let lookaside = object::find::<Lookaside>(handle);
    match memory::allocate(&lookaside.memory, driver::handle(), lookaside.size, true) {
        Some(memory) => {
            result.set(memory.handle());
            STATUS_SUCCESS
        }
        None => STATUS_INSUFFICIENT_RESOURCES,
    }
}
