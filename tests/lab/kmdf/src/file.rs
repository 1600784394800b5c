//! `WDFFILEOBJECT`: one open handle, and the clean-up that Wine does not send.

use crate::{
    callback, cancel, control,
    device::Device,
    ffi::{Out, UnicodeString},
    handle::{Handle, Kind},
    irql::PASSIVE,
    object::{self, Body, Ref, lock},
    queue, request, token, unload, worker,
};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Condvar, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// One open handle of a device.
pub struct File {
    /// The device.
    pub device: Handle,
    /// The process that opened it.
    pub creator: u32,
    wdm: usize,
    name: Vec<u16>,
    /// What `WdfFileObjectGetFileName` points to.
    counted: UnicodeString,
    state: Mutex<State>,
    /// `State::open` was set.
    decided: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether the driver has let the handle be opened; `None` until it has completed the request.
    open: Option<bool>,
    /// Requests that are not completed.
    outstanding: usize,
    /// `EvtFileCleanup` has returned.
    cleaned: bool,
}

impl Body for File {
    const KIND: Kind = Kind::File;
}

/// By `FILE_OBJECT`. Wine sends `IRP_MJ_CLOSE` before it reuses an address.
static FILES: LazyLock<Mutex<HashMap<usize, Handle>>> = LazyLock::new(Mutex::default);

/// `FILE_OBJECT`s whose open was denied. Wine tells the opener nothing and gives it a handle; so whatever it
/// sends over it is denied, too.
static DENIED: LazyLock<Mutex<HashSet<usize>>> = LazyLock::new(Mutex::default);
static DENIALS: AtomicU64 = AtomicU64::new(0);

/// Opens denied so far.
pub fn denials() -> u64 {
    DENIALS.load(Ordering::Relaxed)
}

/// Whether the device's security descriptor lets somebody in. Wine does not tell which access is asked for:
/// reading and writing is what programs of the lab ask for.
pub fn may_open(device: &Ref<Device>, wdm: usize, caller: token::Caller) -> bool {
    /// `GENERIC_READ | GENERIC_WRITE`
    const WANTED: u32 = 0xC000_0000;
    let granted = device.security.grants(&caller.account().sids(), WANTED);
    if !granted {
        lock(&DENIED).insert(wdm);
        DENIALS.fetch_add(1, Ordering::Relaxed);
    }
    granted
}

/// Whether the open of Wine's object was denied.
pub fn is_denied(wdm: usize) -> bool {
    lock(&DENIED).contains(&wdm)
}

/// Makes the framework's object for Wine's `FILE_OBJECT` at `wdm`.
pub fn open(device: &Ref<Device>, wdm: usize, creator: u32) -> Ref<File> {
    let name: Vec<u16> = control::switches().file_name.encode_utf16().collect();
    let counted = if name.is_empty() {
        UnicodeString::default()
    } else {
        UnicodeString::of(&name)
    };
    let body = File {
        device: device.handle(),
        creator,
        wdm,
        name,
        counted,
        state: Mutex::default(),
        decided: Condvar::new(),
    };
    let file = object::create(&device.init.file_attributes, Some(device.handle()), body);
    lock(&FILES).insert(wdm, file.handle());
    file
}

/// Whether every file there is has had its `EvtFileCleanup`.
pub fn all_cleaned_up() -> bool {
    object::all::<File>()
        .iter()
        .all(|file| lock(&file.state).cleaned)
}

/// The framework's object for Wine's.
pub fn of(wdm: usize) -> Option<Ref<File>> {
    // Under the lock: a file that is refused leaves the map before it goes.
    let files = lock(&FILES);
    files.get(&wdm).map(|handle| object::find(*handle))
}

/// The create request was completed with success.
pub fn admit(file: &Ref<File>) {
    decide(file, true);
}

fn decide(file: &Ref<File>, open: bool) {
    lock(&file.state).open = Some(open);
    file.decided.notify_all();
}

/// Waits until the create request is completed, and says whether with success. On Windows nobody
/// has the handle before; Wine does not wait, so whatever comes first over a new handle does. For
/// workers: the create request is theirs already.
pub fn wait_until_open(file: &Ref<File>) -> bool {
    file.decided
        .wait_while(lock(&file.state), |state| state.open.is_none())
        .unwrap_or_else(PoisonError::into_inner)
        .open
        == Some(true)
}

/// The create request was completed with an error: no clean-up, no close ("Framework File
/// Objects").
pub fn refuse(file: &Ref<File>) {
    lock(&FILES).remove(&file.wdm);
    object::dispose(file.handle());
    unload::file_closed();
    decide(file, false);
}

/// A request of this file has arrived.
pub fn request_arrived(file: &Ref<File>) {
    lock(&file.state).outstanding += 1;
}

/// A request of this file was completed. The last one lets a closed file go.
pub fn request_completed(file: &Ref<File>) {
    let close = {
        let mut state = lock(&file.state);
        state.outstanding -= 1;
        state.cleaned && state.outstanding == 0
    };
    if close {
        let file = file.clone();
        worker::submit(move || finish(&file));
    }
}

/// The last user handle was closed. Wine says so with `IRP_MJ_CLOSE`, whatever is pending; Windows
/// sends `IRP_MJ_CLEANUP` first, and `IRP_MJ_CLOSE` when every request is completed.
pub fn closed(wdm: usize) {
    lock(&DENIED).remove(&wdm);
    let Some(file) = of(wdm) else { return };
    lock(&FILES).remove(&wdm);
    worker::submit(move || close(&file));
}

/// `EvtFileCleanup`, and `EvtFileClose` unless a request is left.
pub fn close(file: &Ref<File>) {
    if !wait_until_open(file) {
        return;
    }
    clean_up(file);
    let close = {
        let mut state = lock(&file.state);
        state.cleaned = true;
        state.outstanding == 0
    };
    if close {
        finish(file);
    }
}

/// Forgets which of Wine's objects it stood for.
#[cfg(feature = "bench")]
pub fn forget_wdm(file: &Ref<File>) {
    lock(&FILES).remove(&file.wdm);
}

/// `EvtFileCleanup` first, then whatever waits in queues is cancelled (`FxPkgGeneral::OnCleanup`).
/// What the driver has is the driver's to complete, unless the I/O manager cancelled it: a switch.
fn clean_up(file: &Ref<File>) {
    if control::switches().cancel_before_cleanup {
        for request in request::of_file(file.handle()) {
            cancel::cancel(&request);
        }
    }
    let device = object::find::<Device>(file.device);
    if let Some(cleanup) = device.init.file.and_then(|config| config.cleanup) {
        callback::of_file("EvtFileCleanup", PASSIVE, || cleanup(file.handle()));
    }
    for request in request::of_file(file.handle()) {
        queue::cancel_waiting(&request);
    }
}

fn finish(file: &Ref<File>) {
    let device = object::find::<Device>(file.device);
    if let Some(close) = device.init.file.and_then(|config| config.close) {
        callback::of_file("EvtFileClose", PASSIVE, || close(file.handle()));
    }
    object::dispose(file.handle());
    unload::file_closed();
}

/// `WdfFileObjectGetFileName`
pub fn name(handle: Handle) -> usize {
    let file = object::find::<File>(handle);
    debug_assert_eq!(file.counted.buffer == 0, file.name.is_empty());
    &raw const file.counted as usize
}

/// `WdfFileObjectGetDevice`
pub fn device(handle: Handle) -> Handle {
    object::find::<File>(handle).device
}

/// `WdfFileObjectGetFlags`: the `FO_...` flags, none of which matter here.
pub fn flags(handle: Handle) -> u32 {
    _ = object::find::<File>(handle);
    0
}

/// `WdfFileObjectWdmGetFileObject`
pub fn wdm_object(handle: Handle) -> usize {
    object::find::<File>(handle).wdm
}

/// `WdfFileObjectGetInitiatorProcessId`
pub fn creator(handle: Handle) -> u32 {
    object::find::<File>(handle).creator
}

/// `WdfDeviceGetFileObject`
pub fn get(device: Handle, wdm: Out<u8>) -> Handle {
    _ = object::find::<Device>(device);
    of(wdm.address()).map_or(Handle::NONE, |file| file.handle())
}
