//! Faults with event tracing.

use crate::{
    faults::Fault,
    kmdf::poke,
    locks,
    pool::{allocate_bytes, allocate_paged, free},
};
use core::{
    ffi::c_void,
    ptr,
    sync::atomic::{AtomicU64, Ordering},
};
use wdk_sys::{GUID, NTSTATUS};

/// `{1 "Wrong"}`: the name, which `EtwSetInformation` calls traits.
const TRAITS: &[u8] = b"\x08\0Wrong\0";
/// An event "E" with one number, "n".
const METADATA: &[u8] = b"\x08\0\0E\0n\0\x0A";
/// `EventProviderSetTraits`
const SET_TRAITS: u32 = 2;
static ID: GUID = GUID {
    Data1: 0x8542_0001,
    Data2: 0,
    Data3: 0,
    Data4: [0; 8],
};

/// `EVENT_DESCRIPTOR`
#[repr(C)]
struct Descriptor {
    id: u16,
    version: u8,
    channel: u8,
    level: u8,
    opcode: u8,
    task: u16,
    keyword: u64,
}

/// `EVENT_DATA_DESCRIPTOR`
#[repr(C)]
struct Data {
    address: u64,
    size: u32,
    kind: u32,
}

unsafe extern "system" {
    fn EtwRegister(
        provider: *const GUID,
        callback: *const c_void,
        context: *mut c_void,
        handle: *mut u64,
    ) -> NTSTATUS;
    fn EtwUnregister(handle: u64) -> NTSTATUS;
    fn EtwSetInformation(
        handle: u64,
        class: u32,
        information: *const c_void,
        length: u32,
    ) -> NTSTATUS;
    fn EtwWriteTransfer(
        handle: u64,
        event: *const Descriptor,
        activity: *const GUID,
        related: *const GUID,
        count: u32,
        data: *const Data,
    ) -> NTSTATUS;
}

/// The provider of the fault that must not be caught before unload.
static LEFT: AtomicU64 = AtomicU64::new(0);

/// Commits the fault if it is one with events.
pub fn commit(fault: Fault) {
    match fault {
        Fault::EventsRight => {
            let provider = register();
            write_bytes(provider, &7_u64.to_le_bytes());
            unregister(provider);
        }
        Fault::ProviderLeft => LEFT.store(register(), Ordering::Relaxed),
        Fault::UnregisteredTwice => {
            let provider = register();
            unregister(provider);
            unregister(provider);
        }
        Fault::WrittenAfterUnregister => {
            let provider = register();
            unregister(provider);
            write_bytes(provider, &[0; 8]);
        }
        Fault::EventCut => write_bytes(register(), &[0; 7]),
        Fault::EventWithoutTraits => write_bytes(register_bare(), &[0; 8]),
        Fault::EventUnreadable => write(register(), 0x1_0000_0000_0000, 8),
        Fault::EventTooLarge => write(register(), METADATA.as_ptr() as u64, 64 << 10),
        Fault::EventPageable => {
            let (provider, block) = (register(), allocate_paged());
            poke(block.cast(), 0);
            locks::raised(|| write(provider, block as u64, 8));
            free(block);
        }
        Fault::AddressInEvent => {
            let block = allocate_bytes(24);
            write_bytes(register(), &(block as u64).to_le_bytes());
        }
        Fault::ImageAddressInEvent => {
            write_bytes(register(), &(METADATA.as_ptr() as u64).to_le_bytes());
        }
        Fault::KernelAddressInEvent => {
            write_bytes(register(), &0xFFFF_8000_0000_0000_u64.to_le_bytes());
        }
        _ => (),
    }
}

fn register_bare() -> u64 {
    let mut handle = 0;
    // SAFETY: the identifier is static, the place for the result ours.
    let _status =
        unsafe { EtwRegister(&raw const ID, ptr::null(), ptr::null_mut(), &raw mut handle) };
    handle
}

fn register() -> u64 {
    let handle = register_bare();
    // SAFETY: just registered; the traits are of the length that is told.
    let _status =
        unsafe { EtwSetInformation(handle, SET_TRAITS, TRAITS.as_ptr().cast(), length(TRAITS)) };
    handle
}

fn unregister(provider: u64) {
    // SAFETY: none is meant: the lab judges the call.
    let _status = unsafe { EtwUnregister(provider) };
}

fn write_bytes(provider: u64, payload: &[u8]) {
    write(provider, payload.as_ptr() as u64, length(payload));
}

fn write(provider: u64, address: u64, size: u32) {
    let descriptor = Descriptor {
        id: 0,
        version: 0,
        channel: 11,
        level: 4,
        opcode: 0,
        task: 0,
        keyword: 1,
    };
    let data = |bytes: &'static [u8], kind| Data {
        address: bytes.as_ptr() as u64,
        size: length(bytes),
        kind,
    };
    let payload = Data {
        address,
        size,
        kind: 0,
    };
    let data = [data(TRAITS, 2), data(METADATA, 1), payload];
    // SAFETY: none is meant: the lab judges what is passed.
    let _status = unsafe {
        EtwWriteTransfer(
            provider,
            &raw const descriptor,
            ptr::null(),
            ptr::null(),
            3,
            data.as_ptr(),
        )
    };
}

#[expect(clippy::cast_possible_truncation, reason = "a few bytes")]
const fn length(bytes: &[u8]) -> u32 {
    bytes.len() as u32
}
