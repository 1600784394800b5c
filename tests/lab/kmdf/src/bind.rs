//! What WDFLDR.SYS exports: the door through which a KMDF driver comes in and goes out.

use crate::{
    control, etw, exception,
    ffi::{In, Out, UnicodeString},
    handle::Handle,
    layout::{BindInfo, BindInfo2, DriverGlobals, NtStatus},
    object::lock,
    patch, recorder, stack,
    stop::{lab_failed, stop},
    table, unload, wdm, worker,
};
use std::{ops::Range, sync::Mutex};
use windows_sys::Win32::{
    Foundation::{HMODULE, STATUS_NOT_SUPPORTED, STATUS_SUCCESS},
    System::LibraryLoader::{
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
    },
};

/// The version that is here.
const VERSION: [u32; 2] = [1, 33];
/// `WDF_STRUCTURE_TABLE_NUM_ENTRIES`
const STRUCTURES: u32 = 81;

/// The one driver of this process.
struct Bound {
    driver: wdm::Driver,
    service: String,
    image: Range<usize>,
    globals: Box<DriverGlobals>,
}

static BOUND: Mutex<Option<Bound>> = Mutex::new(None);

/// The driver's service, or the last one's.
pub fn service() -> String {
    lock(&BOUND)
        .as_ref()
        .map(|bound| bound.service.clone())
        .unwrap_or_default()
}

/// The addresses of the driver's image; none before it is bound.
pub fn image() -> Range<usize> {
    let bound = lock(&BOUND);
    bound.as_ref().map_or(0..0, |bound| bound.image.clone())
}

/// Wine's object for the driver.
pub fn driver_object() -> wdm::Driver {
    lock(&BOUND)
        .as_ref()
        .map_or_else(|| lab_failed!("nobody is bound"), |bound| bound.driver)
}

/// `WdfDriverCreate` was called: the entry code shall put itself in front of `DriverUnload`.
pub fn driver_created(handle: Handle, flags: u32, tag: u32) {
    if let Some(bound) = lock(&BOUND).as_mut() {
        bound.globals.driver = handle;
        bound.globals.flags = flags;
        bound.globals.tag = tag;
        bound.globals.displace_unload = 1;
    }
}

/// `WdfVersionBind`. What calls it calls `DriverEntry` next.
#[unsafe(no_mangle)]
pub extern "system" fn WdfVersionBind(
    driver: wdm::Driver,
    path: In<UnicodeString>,
    info: Out<BindInfo>,
    globals: Out<usize>,
) -> NtStatus {
    let status = bind(driver, path, info, globals);
    stack::enter("DriverEntry");
    status
}

/// Apart, so that its frame is gone when the driver's stack is measured.
#[inline(never)]
fn bind(
    driver: wdm::Driver,
    path: In<UnicodeString>,
    info: Out<BindInfo>,
    globals: Out<usize>,
) -> NtStatus {
    let Some(asked) = info.get() else {
        stop!("null-pointer", "BindInfo is NULL")
    };
    if asked.version[..2] != VERSION || asked.function_count as usize > table::COUNT {
        return STATUS_NOT_SUPPORTED;
    }
    stay_loaded();
    exception::watch();
    control::start();
    etw::begin();
    recorder::begin();
    worker::set_count(control::switches().workers);
    patch::imports(driver.image());

    let service = path.need("RegistryPath").text();
    let service = service.rsplit('\\').next().unwrap_or_default().to_owned();
    let mut bound = Bound {
        driver,
        globals: Box::new(new_globals(&service)),
        image: patch::range(driver.image()),
        service,
    };
    globals.set(&raw mut *bound.globals as usize);
    Out::at(asked.function_table).set(table::address());
    let whole = size_of::<BindInfo>() + size_of::<BindInfo2>();
    if asked.size as usize == whole {
        tell_counts(info.address() + size_of::<BindInfo>());
    }
    if lock(&BOUND).replace(bound).is_some() {
        stop!(
            "two-drivers",
            "one driver a process: give each service a Group of its own"
        );
    }
    unload::loaded();
    STATUS_SUCCESS
}

/// The driver takes this module along when it goes, while its threads still run: so it stays.
fn stay_loaded() {
    let mut module: HMODULE = std::ptr::null_mut();
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
    let here = (stay_loaded as *const ()).cast::<u16>();
    // SAFETY: with FROM_ADDRESS the second argument is an address in the module that is meant.
    unsafe { GetModuleHandleExW(flags, here, &raw mut module) };
}

fn new_globals(service: &str) -> DriverGlobals {
    let mut name = [0; 32];
    for (place, byte) in name[..31].iter_mut().zip(service.bytes()) {
        *place = byte;
    }
    DriverGlobals {
        driver: Handle::NONE,
        flags: 0,
        tag: 0,
        name,
        displace_unload: 0,
    }
}

/// Fills what a driver asks that can run on an older framework than it was built for.
fn tell_counts(info: usize) {
    let Some(places) = Out::<BindInfo2>::at(info).get() else {
        return;
    };
    Out::<u8>::at(places.client_version_higher).set_if_wanted(0);
    #[expect(clippy::cast_possible_truncation, reason = "458")]
    Out::<u32>::at(places.function_count).set_if_wanted(table::COUNT as u32);
    Out::<u32>::at(places.structure_count).set_if_wanted(STRUCTURES);
}

/// `WdfVersionUnbind`: after the driver's unload, or after a `DriverEntry` that failed.
#[unsafe(no_mangle)]
pub extern "system" fn WdfVersionUnbind(
    _path: In<UnicodeString>,
    _info: In<BindInfo>,
    _globals: usize,
) -> NtStatus {
    unload::finish();
    STATUS_SUCCESS
}

/// The driver's last object is gone.
pub fn driver_gone() {
    *lock(&BOUND) = None;
}

/// `WdfVersionBindClass`: there are no class extensions here.
#[unsafe(no_mangle)]
pub extern "system" fn WdfVersionBindClass(
    _info: usize,
    _globals: usize,
    _class: usize,
) -> NtStatus {
    stop!("unimplemented", "WdfVersionBindClass")
}

/// `WdfVersionUnbindClass`
#[unsafe(no_mangle)]
pub extern "system" fn WdfVersionUnbindClass(_info: usize, _globals: usize, _class: usize) {
    stop!("unimplemented", "WdfVersionUnbindClass")
}
