//! `WDFDEVICE`: a control device.

use crate::{
    attributes::Attributes,
    bind,
    device_init::{self, DeviceInit, InitHandle},
    dispatch, driver,
    ffi::{In, Out, UnicodeString},
    handle::{Handle, Kind},
    layout::{NtStatus, ObjectAttributes},
    object::{self, Body, Ref, lock},
    sddl::Sddl,
    stop::stop,
    wdm,
};
use std::sync::{
    Mutex, OnceLock,
    atomic::{AtomicBool, Ordering},
};
use windows_sys::Win32::Foundation::{STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

/// A control device.
pub struct Device {
    wdm: OnceLock<wdm::Device>,
    link: Mutex<Option<Vec<u16>>>,
    /// Who may open it.
    pub security: Sddl,
    /// What the driver said about it.
    pub init: DeviceInit,
    /// The queue that takes what no other queue does.
    pub default_queue: OnceLock<Handle>,
    finished: AtomicBool,
}

impl Body for Device {
    const KIND: Kind = Kind::Device;

    fn freed(&self) {
        if let Some(link) = lock(&self.link).take() {
            _ = wdm::delete_link(&link);
        }
        if let Some(device) = self.wdm.get() {
            device.delete();
        }
    }
}

impl Device {
    /// Whether `WdfControlFinishInitializing` was called: nobody gets in before.
    pub fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }
}

/// The framework's device for Wine's.
pub fn of(device: wdm::Device) -> Ref<Device> {
    object::find(Handle(device.mark()))
}

/// `WdfDeviceCreate`
pub fn create(
    init: Out<InitHandle>,
    attributes: In<ObjectAttributes>,
    result: Out<Handle>,
) -> NtStatus {
    let Some(handle) = init.get() else {
        stop!("null-pointer", "DeviceInit is NULL")
    };
    let attributes = Attributes::read(attributes).without_parent("a control device");
    let said = device_init::take(handle);
    if said.name.is_empty() {
        stop!("device-init", "a control device must have a name");
    }
    // The framework hands the string on (`FxDevice::_CreateDevice`, `IoCreateDeviceSecure`): so the error
    // is this function's. Which one it is, no document says.
    let Some(security) = Sddl::parse(&said.sddl) else {
        device_init::put_back(handle, said);
        return STATUS_INVALID_PARAMETER;
    };
    let body = Device {
        security,
        wdm: OnceLock::new(),
        link: Mutex::new(None),
        init: said,
        default_queue: OnceLock::new(),
        finished: AtomicBool::new(false),
    };
    let device = object::create(&attributes, Some(driver::handle()), body);
    let driver = bind::driver_object();
    let said = &device.init;
    match wdm::Device::create(driver, &said.name, said.kind, device.handle().0) {
        Ok(made) => {
            _ = device.wdm.set(made);
            driver.set_dispatch(dispatch::dispatch);
            // "The framework sets the pointer to NULL": the driver must not free it any more.
            Out::<u64>::at(init.address()).set(0);
            result.set(device.handle());
            STATUS_SUCCESS
        }
        Err(status) => {
            device_init::put_back(handle, device.init.clone());
            object::dispose(device.handle());
            status
        }
    }
}

/// `WdfDeviceCreateSymbolicLink`
pub fn create_link(handle: Handle, link: In<UnicodeString>) -> NtStatus {
    let device = object::find::<Device>(handle);
    let link = link.need("SymbolicLinkName").units();
    let status = wdm::create_link(&link, &device.init.name);
    if status >= 0 && lock(&device.link).replace(link).is_some() {
        stop!("device-init", "the device has a symbolic link already");
    }
    status
}

/// `WdfControlFinishInitializing`
pub fn finish_initializing(handle: Handle) {
    let device = object::find::<Device>(handle);
    if let Some(device) = device.wdm.get() {
        device.finish_initializing();
    }
    device.finished.store(true, Ordering::Release);
}

/// `WdfDeviceWdmGetDeviceObject`
pub fn wdm_object(handle: Handle) -> usize {
    object::find::<Device>(handle)
        .wdm
        .get()
        .map_or(0, |device| device.0)
}

/// `WdfDeviceGetDriver`
pub fn driver(handle: Handle) -> Handle {
    _ = object::find::<Device>(handle);
    driver::handle()
}

/// `WdfDeviceGetDefaultQueue`
pub fn default_queue(handle: Handle) -> Handle {
    object::find::<Device>(handle)
        .default_queue
        .get()
        .copied()
        .unwrap_or(Handle::NONE)
}
