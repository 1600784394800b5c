//! `WDFDRIVER`: the one driver of this process.

use crate::{
    attributes::Attributes,
    bind,
    ffi::{In, Out, UnicodeString},
    handle::{Handle, Kind},
    layout::{DriverConfig, NtStatus, ObjectAttributes},
    object::{self, Body, Ref, lock},
    stop::stop,
    unload, wdm,
};
use std::sync::Mutex;
use windows_sys::Win32::Foundation::STATUS_SUCCESS;

/// `WdfDriverInitNonPnpDriver`
const NON_PNP: u32 = 1;

/// A driver.
pub struct Driver {
    wdm: wdm::Driver,
    /// `EvtDriverUnload`
    pub unload: extern "system" fn(Handle),
}

impl Body for Driver {
    const KIND: Kind = Kind::Driver;
}

static CURRENT: Mutex<Option<Ref<Driver>>> = Mutex::new(None);

/// The driver, once it has called `WdfDriverCreate` and until it is unloaded.
pub fn current() -> Option<Ref<Driver>> {
    lock(&CURRENT).clone()
}

/// Forgets the driver, which is being deleted.
pub fn take() -> Option<Ref<Driver>> {
    lock(&CURRENT).take()
}

/// The driver's handle: the parent of whatever names no other.
pub fn handle() -> Handle {
    current()
        .unwrap_or_else(|| stop!("no-driver", "WdfDriverCreate was not called"))
        .handle()
}

/// `WdfDriverCreate`. Only what a driver without Plug and Play needs is here.
pub fn create(
    object: wdm::Driver,
    _path: In<UnicodeString>,
    attributes: In<ObjectAttributes>,
    config: In<DriverConfig>,
    result: Out<Handle>,
) -> NtStatus {
    let config = config.need("WDF_DRIVER_CONFIG");
    if config.size as usize != size_of::<DriverConfig>() {
        stop!(
            "structure-size",
            "WDF_DRIVER_CONFIG.Size is {}",
            config.size
        );
    }
    if config.flags & NON_PNP == 0 || config.device_add != 0 {
        stop!(
            "driver-config",
            "the lab has no Plug and Play: set WdfDriverInitNonPnpDriver"
        );
    }
    // "Using Control Device Objects": without EvtDriverUnload such a driver can never be unloaded.
    let Some(unload) = config.unload else {
        stop!("driver-config", "no EvtDriverUnload")
    };
    let attributes = Attributes::read(attributes).without_parent("WdfDriverCreate");
    let driver = object::create(
        &attributes,
        None,
        Driver {
            wdm: object,
            unload,
        },
    );
    if lock(&CURRENT).replace(driver.clone()).is_some() {
        stop!("driver-config", "WdfDriverCreate was called twice");
    }
    bind::driver_created(driver.handle(), config.flags, config.tag);
    object.set_unload(unload::driver_unload);
    result.set_if_wanted(driver.handle());
    STATUS_SUCCESS
}

/// `WdfDriverWdmGetDriverObject`
pub fn wdm_object(handle: Handle) -> wdm::Driver {
    object::find::<Driver>(handle).wdm
}
