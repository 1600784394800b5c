//! `WDFKEY`: the driver's Parameters key, read only.

use crate::{
    attributes::Attributes,
    bind,
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
    if LOCAL_MACHINE.open(&path).is_err() {
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

fn value(handle: Handle, name: In<UnicodeString>) -> Option<windows_registry::Value> {
    let key = object::find::<Key>(handle);
    let name = name.need("ValueName").text();
    LOCAL_MACHINE.open(&key.path).ok()?.get_value(name).ok()
}

/// `WdfRegistryQueryULong`
pub fn query_ulong(handle: Handle, name: In<UnicodeString>, result: Out<u32>) -> NtStatus {
    match value(handle, name) {
        None => STATUS_OBJECT_NAME_NOT_FOUND,
        Some(value) => match u32::try_from(value) {
            Ok(number) => {
                result.set(number);
                STATUS_SUCCESS
            }
            Err(_) => STATUS_OBJECT_TYPE_MISMATCH,
        },
    }
}

/// `WdfRegistryQueryUnicodeString`
pub fn query_string(
    handle: Handle,
    name: In<UnicodeString>,
    length: Out<u16>,
    result: Out<UnicodeString>,
) -> NtStatus {
    let Some(value) = value(handle, name) else {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    };
    if !matches!(value.ty(), Type::String | Type::ExpandString) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    let mut text: Vec<u16> = value.as_wide().to_vec();
    while text.last() == Some(&0) {
        text.pop();
    }
    let bytes = UnicodeString::of(&text).length;
    length.set_if_wanted(bytes);
    let Some(room) = result.get() else {
        return STATUS_SUCCESS;
    };
    if room.maximum_length < bytes {
        return STATUS_BUFFER_OVERFLOW;
    }
    for (index, unit) in text.into_iter().enumerate() {
        Out::at(room.buffer + 2 * index).set(unit);
    }
    result.set(UnicodeString {
        length: bytes,
        ..room
    });
    STATUS_SUCCESS
}
