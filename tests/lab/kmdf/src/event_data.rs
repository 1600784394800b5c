//! What a driver passes to ETW as an event: whether it can be read, and whether it may be told.
//!
//! The rules are those of the reference page of `EtwWriteTransfer` (wdm.h), and the lab's own: no address.

use crate::{
    bind, blocks, driver,
    event::{self, Decoded},
    ffi::Out,
    irql::{self, APC},
    pool,
    stop::stop,
};
use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEMORY_BASIC_INFORMATION, PAGE_GUARD, PAGE_NOACCESS, VirtualQuery,
};

/// `EVENT_DATA_DESCRIPTOR_TYPE_EVENT_METADATA`
const EVENT_METADATA: u32 = 1;
/// `EVENT_DATA_DESCRIPTOR_TYPE_PROVIDER_METADATA`
const PROVIDER_METADATA: u32 = 2;
/// Where the kernel's half of the address space starts.
const KERNEL_HALF: u64 = 0xFFFF_8000_0000_0000;

/// `EVENT_DATA_DESCRIPTOR`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Data {
    address: u64,
    /// Bytes.
    pub size: u32,
    kind: u32,
}

const _: () = assert!(size_of::<Data>() == 16);

/// Reads an event, and looks for what must not be in it; gives the provider's name as well.
pub fn read(parts: &[Data]) -> (String, Decoded) {
    let [traits, metadata, rest @ ..] = parts else {
        stop!(
            "etw-bad-event",
            "{} data descriptors and no metadata",
            parts.len()
        )
    };
    let kinds = [traits.kind, metadata.kind];
    if kinds != [PROVIDER_METADATA, EVENT_METADATA] || rest.iter().any(|part| part.kind != 0) {
        stop!(
            "etw-bad-event",
            "data descriptors of other types than TraceLogging's"
        );
    }
    let content = |part: &Data| bytes(part.address, part.size);
    let payload: Vec<u8> = rest.iter().flat_map(content).collect();
    let name = event::provider(&content(traits));
    let read = name.and_then(|name| Ok((name, event::decode(&content(metadata), &payload)?)));
    let (provider, decoded) = match read {
        Ok(read) => read,
        Err(error) => stop!("etw-bad-event", "{error}"),
    };
    for field in &decoded.fields {
        if field.address.is_some_and(is_secret_address) {
            stop!(
                "address-in-event",
                "{}.{} is {:?}",
                decoded.name,
                field.name,
                field.value
            );
        }
    }
    (provider, decoded)
}

/// What a descriptor points to. Above APC_LEVEL it must not be pageable (`EtwWriteTransfer`).
pub fn bytes(address: u64, size: u32) -> Vec<u8> {
    let size = size as usize;
    let start = usize::try_from(address)
        .ok()
        .filter(|&start| size == 0 || is_readable(start, size));
    let Some(start) = start else {
        stop!(
            "etw-bad-data",
            "{size} bytes at {address:#x} cannot be read"
        )
    };
    if irql::current() > APC && pool::is_paged(start) {
        stop!(
            "etw-pageable-data",
            "{size} bytes of paged pool at {}",
            irql::name(irql::current())
        );
    }
    (start..start + size)
        .map(|place| Out::<u8>::at(place).get().unwrap_or_default())
        .collect()
}

fn is_readable(start: usize, size: usize) -> bool {
    let Some(end) = start.checked_add(size) else {
        return false;
    };
    let mut place = start;
    while place < end {
        let mut region = MEMORY_BASIC_INFORMATION::default();
        // SAFETY: an address is looked up; the result has its place and size.
        let found = unsafe {
            VirtualQuery(
                place as *const _,
                &raw mut region,
                size_of::<MEMORY_BASIC_INFORMATION>(),
            )
        };
        let closed = region.Protect & (PAGE_NOACCESS | PAGE_GUARD) != 0;
        if found == 0 || region.State != MEM_COMMIT || closed {
            return false;
        }
        place = region.BaseAddress as usize + region.RegionSize;
    }
    true
}

/// Whether a number tells where something of the kernel lies. In the lab drivers live in user space: their
/// image and their memory are what must not be told.
fn is_secret_address(value: u64) -> bool {
    let Ok(address) = usize::try_from(value) else {
        return true;
    };
    value >= KERNEL_HALF
        || driver::current().is_some_and(|_| bind::driver_object().has(address))
        || blocks::first_within(&[address]).is_some()
}
