//! Faults with the registry. The test has set values of the service's Parameters key.

use crate::{
    faults::Fault,
    kmdf::{poke, wdf},
};
use core::{
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};
use wdk_sys::{
    KEY_ALL_ACCESS, KEY_READ, NTSTATUS, STATUS_BUFFER_OVERFLOW, STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_OBJECT_TYPE_MISMATCH, STATUS_SUCCESS, UNICODE_STRING, WDFDRIVER, WDFKEY,
};

/// The driver's object.
static DRIVER: AtomicPtr<core::ffi::c_void> = AtomicPtr::new(ptr::null_mut());

/// Notes the driver's object.
pub fn driver_is(driver: WDFDRIVER) {
    DRIVER.store(driver.cast(), Ordering::Relaxed);
}

/// The driver's object.
pub fn driver() -> WDFDRIVER {
    DRIVER.load(Ordering::Relaxed).cast()
}

/// A number of the Parameters key, if it is there.
pub fn setting<const N: usize>(name: &[u8; N]) -> Option<u32> {
    let key = open(KEY_READ);
    if key.is_null() {
        return None;
    }
    let (status, value) = number(key, &wide(name));
    close(key);
    (status == STATUS_SUCCESS).then_some(value)
}

/// Commits the fault if it is one with the registry.
pub fn commit(fault: Fault) {
    match fault {
        Fault::RegistryRight => read_all(),
        Fault::RegistryWrite => _ = open(KEY_ALL_ACCESS),
        Fault::KeyLeftOpen => _ = open(KEY_READ),
        Fault::EmptyValueAsString => {
            let key = open(KEY_READ);
            let _status = string(key, &wide(b"Empty"), &mut [0; 8]);
        }
        Fault::ShortValueAsNumber => {
            let key = open(KEY_READ);
            let _status = number(key, &wide(b"Short"));
        }
        _ => (),
    }
}

/// Reads what the test has set, and gives up (with an exception) when something else comes.
fn read_all() {
    let key = open(KEY_READ);
    expect(number(key, &wide(b"Number")) == (STATUS_SUCCESS, 7));
    expect(number(key, &wide(b"Text")).0 == STATUS_OBJECT_TYPE_MISMATCH);
    expect(number(key, &wide(b"Absent")).0 == STATUS_OBJECT_NAME_NOT_FOUND);
    let mut room = [0; 8];
    // The zero at the end counts in the registry and not in the string.
    expect(string(key, &wide(b"Text"), &mut room) == (STATUS_SUCCESS, 8, 6));
    expect(room[..4] == *b"abc\0".map(u16::from).as_slice());
    expect(string(key, &wide(b"Text"), &mut room[..3]).0 == STATUS_BUFFER_OVERFLOW);
    expect(string(key, &wide(b"Number"), &mut room).0 == STATUS_OBJECT_TYPE_MISMATCH);
    let mut bytes = [0; 8];
    expect(value(key, &wide(b"Number"), &mut bytes) == (STATUS_SUCCESS, 4, 4));
    expect(bytes[..4] == [7, 0, 0, 0]);
    expect(value(key, &wide(b"Text"), &mut bytes[..7]) == (STATUS_BUFFER_OVERFLOW, 8, 1));
    expect(value(key, &wide(b"Absent"), &mut bytes).0 == STATUS_OBJECT_NAME_NOT_FOUND);
    close(key);
}

fn expect(right: bool) {
    if !right {
        poke(ptr::null_mut(), 0);
    }
}

fn wide<const N: usize>(text: &[u8; N]) -> [u16; N] {
    text.map(u16::from)
}

fn counted(text: &[u16], length: usize) -> UNICODE_STRING {
    #[expect(clippy::cast_possible_truncation, reason = "short strings")]
    UNICODE_STRING {
        Length: length as u16,
        MaximumLength: size_of_val(text) as u16,
        Buffer: text.as_ptr().cast_mut(),
    }
}

fn open(access: u32) -> WDFKEY {
    let driver = driver();
    let mut key: WDFKEY = ptr::null_mut();
    // SAFETY: the place for the result is ours.
    let _status = unsafe {
        wdf!(PFN_WDFDRIVEROPENPARAMETERSREGISTRYKEY
            [WdfDriverOpenParametersRegistryKeyTableIndex](
            driver,
            access,
            ptr::null_mut(),
            &raw mut key,
        ))
    };
    key
}

fn close(key: WDFKEY) {
    // SAFETY: none is meant: the lab judges the call.
    unsafe { wdf!(PFN_WDFREGISTRYCLOSE[WdfRegistryCloseTableIndex](key)) };
}

/// Status and value.
fn number(key: WDFKEY, name: &[u16]) -> (NTSTATUS, u32) {
    let name = counted(name, size_of_val(name));
    let mut number = 0;
    // SAFETY: the name and the place live across the call.
    let status = unsafe {
        wdf!(PFN_WDFREGISTRYQUERYULONG[WdfRegistryQueryULongTableIndex](
            key,
            &raw const name,
            &raw mut number
        ))
    };
    (status, number)
}

/// Status, bytes in the registry, bytes of the string.
fn string(key: WDFKEY, name: &[u16], room: &mut [u16]) -> (NTSTATUS, u16, u16) {
    let name = counted(name, size_of_val(name));
    let (mut length, mut value) = (0, counted(room, 0));
    // SAFETY: the name, the room and the places live across the call.
    let status = unsafe {
        wdf!(PFN_WDFREGISTRYQUERYUNICODESTRING
            [WdfRegistryQueryUnicodeStringTableIndex](
            key,
            &raw const name,
            &raw mut length,
            &raw mut value,
        ))
    };
    (status, length, value.Length)
}

/// Status, bytes, type.
fn value(key: WDFKEY, name: &[u16], room: &mut [u8]) -> (NTSTATUS, u32, u32) {
    let name = counted(name, size_of_val(name));
    let (mut length, mut kind) = (0, 0);
    #[expect(clippy::cast_possible_truncation, reason = "a few bytes")]
    let size = room.len() as u32;
    // SAFETY: the name, the room and the places live across the call.
    let status = unsafe {
        wdf!(PFN_WDFREGISTRYQUERYVALUE[WdfRegistryQueryValueTableIndex](
            key,
            &raw const name,
            size,
            room.as_mut_ptr().cast(),
            &raw mut length,
            &raw mut kind,
        ))
    };
    (status, length, kind)
}
