//! `WDFKEY`: the driver's Parameters key, read only.

use crate::{
    attributes::Attributes,
    bind, control,
    driver::{self, Driver},
    ffi::{In, Out, UnicodeString},
    handle::{Handle, Kind},
    layout::{NtStatus, ObjectAttributes},
    object::{self, Body},
    stop::stop,
};
use windows_registry::{LOCAL_MACHINE, Type};
use windows_sys::Win32::Foundation::{
    STATUS_BUFFER_OVERFLOW, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_TYPE_MISMATCH,
    STATUS_SUCCESS,
};

/// `KEY_READ` and the generic right that stands for it.
const READ: u32 = 0x2_0019 | 0x8000_0000;

struct Key {
    path: String,
}

impl Body for Key {
    const KIND: Kind = Kind::Key;
}

/// `WdfDriverOpenParametersRegistryKey`: for reading only, as KMDF advises since 1.25.
pub fn open_parameters(
    driver: Handle,
    access: u32,
    attributes: In<ObjectAttributes>,
    result: Out<Handle>,
) -> NtStatus {
    _ = object::find::<Driver>(driver);
    if access & !READ != 0 {
        stop!(
            "registry-write",
            "the Parameters key is opened with access {access:#x}"
        );
    }
    let path = format!(
        r"System\CurrentControlSet\Services\{}\Parameters",
        bind::service()
    );
    let there = if control::switches().makes_parameters_key {
        LOCAL_MACHINE.create(&path).is_ok()
    } else {
        LOCAL_MACHINE.open(&path).is_ok()
    };
    if !there {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    let attributes = Attributes::read(attributes);
    result.set(object::create(&attributes, Some(driver::handle()), Key { path }).handle());
    STATUS_SUCCESS
}

/// `WdfRegistryClose`
pub fn close(handle: Handle) {
    _ = object::find::<Key>(handle);
    object::dispose(handle);
}

/// Keys that the driver has open.
pub fn open() -> usize {
    object::all::<Key>().len()
}

/// A value as it lies in the registry.
struct Value {
    kind: u32,
    bytes: Vec<u8>,
}

fn value(handle: Handle, name: In<UnicodeString>) -> Option<Value> {
    let key = object::find::<Key>(handle);
    let name = name.need("ValueName").text();
    let value = LOCAL_MACHINE.open(&key.path).ok()?.get_value(name).ok()?;
    Some(Value {
        kind: value.ty().into(),
        bytes: value.to_vec(),
    })
}

fn put(bytes: &[u8], place: usize) {
    for (index, &byte) in bytes.iter().enumerate() {
        Out::at(place + index).set(byte);
    }
}

/// `WdfRegistryQueryValue` (`FxRegKey::_QueryValue`): type and length are told even if there is no room.
pub fn query_value(
    handle: Handle,
    name: In<UnicodeString>,
    room: u32,
    place: Out<u8>,
    length: Out<u32>,
    kind: Out<u32>,
) -> NtStatus {
    let Some(value) = value(handle, name) else {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    };
    length.set_if_wanted(u32::try_from(value.bytes.len()).unwrap_or(u32::MAX));
    kind.set_if_wanted(value.kind);
    let room = if place.address() == 0 { 0 } else { room };
    if value.bytes.len() > room as usize {
        return STATUS_BUFFER_OVERFLOW;
    }
    put(&value.bytes, place.address());
    STATUS_SUCCESS
}

/// `WdfRegistryQueryULong` (`FxRegKey::_QueryULong`). Of a value with fewer than four bytes the framework
/// copies what it has not read: whoever wants to be safe asks for the value with its length.
pub fn query_ulong(handle: Handle, name: In<UnicodeString>, result: Out<u32>) -> NtStatus {
    let Some(value) = value(handle, name) else {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    };
    if value.kind != u32::from(Type::U32) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    match <[u8; 4]>::try_from(value.bytes.as_slice()) {
        Ok(bytes) => {
            result.set(u32::from_le_bytes(bytes));
            STATUS_SUCCESS
        }
        Err(_) if value.bytes.len() > 4 => STATUS_BUFFER_OVERFLOW,
        Err(_) => stop!(
            "registry-bad-read",
            "WdfRegistryQueryULong of a REG_DWORD of {} bytes",
            value.bytes.len()
        ),
    }
}

/// `WdfRegistryQueryUnicodeString` (`fxregistryapi.cpp`): the length is that in the registry, which counts
/// the final zero; one is cut off the string.
pub fn query_string(
    handle: Handle,
    name: In<UnicodeString>,
    length: Out<u16>,
    result: Out<UnicodeString>,
) -> NtStatus {
    let Some(value) = value(handle, name) else {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    };
    let room = result.get();
    let fits = value.bytes.len() <= room.map_or(0, |room| usize::from(room.maximum_length));
    let is_text = [Type::String, Type::ExpandString]
        .map(u32::from)
        .contains(&value.kind);
    // Found out too late by the framework for what does not fit.
    if fits && !is_text {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    let Ok(whole) = u16::try_from(value.bytes.len()) else {
        return STATUS_BUFFER_OVERFLOW;
    };
    length.set_if_wanted(whole);
    if !fits {
        return STATUS_BUFFER_OVERFLOW;
    }
    let Some(room) = room else {
        return STATUS_SUCCESS;
    };
    if whole < 2 {
        stop!(
            "registry-bad-read",
            "WdfRegistryQueryUnicodeString of an empty value looks in front of the buffer"
        );
    }
    put(&value.bytes, room.buffer);
    let ends = value.bytes.ends_with(&[0, 0]);
    result.set(UnicodeString {
        length: if ends { whole - 2 } else { whole },
        ..room
    });
    STATUS_SUCCESS
}
