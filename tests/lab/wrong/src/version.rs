//! A driver of another ABI version in the place of the one under test: if the service's Parameters key
//! has the value `Abi`, the device is `\\.\TlsGate` and speaks that version. `tlsgate install` puts it
//! there.

use crate::{
    kmdf::{complete_with, output},
    registry,
};
use core::{
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};
use wdk_sys::{NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_SUCCESS, WDFREQUEST};

/// QUERY_VERSION, whose code and whose reply's front every version has.
const QUERY_VERSION: u32 = 0x8541 << 16 | 1 << 14 | 0x800 << 2;
/// What a driver says to requests of another version than its own.
const STATUS_REVISION_MISMATCH: NTSTATUS = 0xC000_0059_u32.cast_signed();

/// The version, or `NONE`.
static ABI: AtomicU32 = AtomicU32::new(NONE);
const NONE: u32 = u32::MAX;

/// Reads the value; says whether it is there.
pub fn is_other() -> bool {
    let abi = registry::setting(b"Abi").unwrap_or(NONE);
    ABI.store(abi, Ordering::Relaxed);
    abi != NONE
}

/// Answers a request, if it is its to answer.
pub fn answer(request: WDFREQUEST, code: u32) -> bool {
    let abi = ABI.load(Ordering::Relaxed);
    if abi == NONE {
        return false;
    }
    if code == QUERY_VERSION {
        reply(request, abi);
    } else {
        complete_with(request, STATUS_REVISION_MISMATCH, 0);
    }
    true
}

/// The front of a reply: the version and a status, 32 bits each.
fn reply(request: WDFREQUEST, abi: u32) {
    let head = [abi, 0];
    let (buffer, length) = output(request);
    if length < size_of_val(&head) {
        complete_with(request, STATUS_BUFFER_TOO_SMALL, 0);
        return;
    }
    // SAFETY: the buffer is the request's, as long as it says, and nobody else's until it is completed.
    unsafe { ptr::copy_nonoverlapping(head.as_ptr().cast(), buffer, size_of_val(&head)) };
    complete_with(request, STATUS_SUCCESS, size_of_val(&head));
}
