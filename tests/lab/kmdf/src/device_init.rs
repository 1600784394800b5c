//! `WDFDEVICE_INIT`: what a driver says about a control device before it is created.

use crate::{
    attributes::Attributes,
    driver::Driver,
    ffi::{In, UnicodeString},
    handle::Handle,
    layout::{FileConfig, NtStatus, ObjectAttributes},
    object::{self, lock},
    stop::stop,
};
use std::{collections::HashMap, sync::LazyLock, sync::Mutex};
use windows_sys::Win32::Foundation::STATUS_SUCCESS;

/// `WdfDeviceIoBuffered`
const BUFFERED: u32 = 2;
/// `FILE_DEVICE_UNKNOWN`
const UNKNOWN_DEVICE: u32 = 0x22;

/// What was said so far.
#[derive(Clone)]
pub struct DeviceInit {
    /// The device's name.
    pub name: Vec<u16>,
    /// The security descriptor.
    pub sddl: String,
    /// `FILE_DEVICE_...`
    pub kind: u32,
    /// The callbacks for files.
    pub file: Option<FileConfig>,
    /// Of file objects.
    pub file_attributes: Attributes,
    /// Of requests.
    pub request_attributes: Attributes,
    /// `EvtIoInCallerContext`
    pub in_caller_context: Option<extern "system" fn(Handle, Handle)>,
}

/// `PWDFDEVICE_INIT`: a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct InitHandle(u64);

/// No address, and odd.
const FIRST: u64 = (0x5749 << 48) + 1;

static INITS: LazyLock<Mutex<HashMap<InitHandle, DeviceInit>>> = LazyLock::new(Mutex::default);

/// How many have been neither used nor freed.
pub fn open() -> usize {
    lock(&INITS).len()
}

fn change(handle: InitHandle, change: impl FnOnce(&mut DeviceInit)) {
    match lock(&INITS).get_mut(&handle) {
        Some(init) => change(init),
        None => stop!("invalid-handle", "no such WDFDEVICE_INIT: {:#x}", handle.0),
    }
}

/// Takes what was said, for `WdfDeviceCreate`.
pub fn take(handle: InitHandle) -> DeviceInit {
    lock(&INITS)
        .remove(&handle)
        .unwrap_or_else(|| stop!("invalid-handle", "no such WDFDEVICE_INIT: {:#x}", handle.0))
}

/// `WdfControlDeviceInitAllocate`
pub fn allocate(driver: Handle, sddl: In<UnicodeString>) -> InitHandle {
    _ = object::find::<Driver>(driver);
    let init = DeviceInit {
        name: Vec::new(),
        sddl: sddl.need("SDDLString").text(),
        kind: UNKNOWN_DEVICE,
        file: None,
        file_attributes: Attributes::default(),
        request_attributes: Attributes::default(),
        in_caller_context: None,
    };
    let mut inits = lock(&INITS);
    let mut handle = InitHandle(FIRST);
    while inits.contains_key(&handle) {
        handle.0 += 2;
    }
    inits.insert(handle, init);
    handle
}

/// `WdfDeviceInitFree`
pub fn free(handle: InitHandle) {
    _ = take(handle);
}

/// `WdfDeviceInitAssignName`
pub fn assign_name(handle: InitHandle, name: In<UnicodeString>) -> NtStatus {
    let name = name.get().map(UnicodeString::units).unwrap_or_default();
    change(handle, |init| init.name = name);
    STATUS_SUCCESS
}

/// `WdfDeviceInitAssignSDDLString`: after naming, says the document.
pub fn assign_sddl(handle: InitHandle, sddl: In<UnicodeString>) -> NtStatus {
    let sddl = sddl.need("SDDLString").text();
    change(handle, |init| {
        if init.name.is_empty() {
            stop!(
                "device-init",
                "WdfDeviceInitAssignSDDLString before the device has a name"
            );
        }
        init.sddl = sddl;
    });
    STATUS_SUCCESS
}

/// `WdfDeviceInitSetIoType`: buffered is all that is here.
pub fn set_io_type(handle: InitHandle, kind: u32) {
    change(handle, |_| ());
    if kind != BUFFERED {
        stop!(
            "unimplemented",
            "WdfDeviceInitSetIoType: only WdfDeviceIoBuffered"
        );
    }
}

/// `WdfDeviceInitSetDeviceType`
pub fn set_device_type(handle: InitHandle, kind: u32) {
    change(handle, |init| init.kind = kind);
}

/// `WdfDeviceInitSetExclusive`, which Wine would not enforce.
pub fn set_exclusive(handle: InitHandle, _exclusive: u8) {
    change(handle, |_| ());
}

/// `WdfDeviceInitSetCharacteristics`, which mean nothing here.
pub fn set_characteristics(handle: InitHandle, _characteristics: u32, _or: u8) {
    change(handle, |_| ());
}

/// `WdfDeviceInitSetFileObjectConfig`
pub fn set_file_config(
    handle: InitHandle,
    config: In<FileConfig>,
    attributes: In<ObjectAttributes>,
) {
    let config = config.need("WDF_FILEOBJECT_CONFIG");
    if config.size as usize != size_of::<FileConfig>() {
        stop!(
            "structure-size",
            "WDF_FILEOBJECT_CONFIG.Size is {}",
            config.size
        );
    }
    let attributes = Attributes::read(attributes).without_parent("a file object");
    change(handle, |init| {
        init.file = Some(config);
        init.file_attributes = attributes;
    });
}

/// `WdfDeviceInitSetRequestAttributes`
pub fn set_request_attributes(handle: InitHandle, attributes: In<ObjectAttributes>) {
    let attributes = Attributes::read(attributes).without_parent("a request");
    change(handle, |init| init.request_attributes = attributes);
}

/// `WdfDeviceInitSetIoInCallerContextCallback`
pub fn set_in_caller_context(
    handle: InitHandle,
    callback: Option<extern "system" fn(Handle, Handle)>,
) {
    change(handle, |init| init.in_caller_context = callback);
}

/// Gives back what [`take`] took: the driver still has to free it when `WdfDeviceCreate` fails.
pub fn put_back(handle: InitHandle, init: DeviceInit) {
    lock(&INITS).insert(handle, init);
}
