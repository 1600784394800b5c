//! The end of a driver: wait for the last handle, `EvtDriverUnload`, delete everything, and look
//! what is left.

use crate::{
    bind, buffer, callback, control, device_init,
    driver::{self, Driver},
    etw, file, former,
    handle::Kind,
    irql::PASSIVE,
    kernel_lookaside, memory,
    object::{self, Ref, lock},
    pool, reference, registry, request, sspi,
    stop::stop,
    thread as system_thread, token, wdm,
};
use std::{
    cell::Cell,
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tlsgate_lab_control::kmdf::DriverState;

static STATE: Mutex<DriverState> = Mutex::new(DriverState::Unloaded);
static OPEN_FILES: AtomicUsize = AtomicUsize::new(0);
/// Somebody waits until no file is open. Set before [`OPEN_FILES`] is looked at, which is counted down before this is:
/// so one of the two sees the other.
static AWAITED: AtomicBool = AtomicBool::new(false);
static FILE_CLOSED: Condvar = Condvar::new();
static OVER: AtomicBool = AtomicBool::new(false);
/// `EvtDriverUnload` runs.
static IN_UNLOAD: AtomicBool = AtomicBool::new(false);
thread_local! {
    /// `EvtDriverUnload` runs on this thread.
    static UNLOADS: Cell<bool> = const { Cell::new(false) };
}
/// Callbacks for others than the framework that have not returned.
static FOREIGN: AtomicUsize = AtomicUsize::new(0);

/// How long a driver may take over the requests of a file that was cleaned up, when it is to be
/// unloaded.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the driver is there.
pub fn state() -> DriverState {
    *lock(&STATE)
}

/// A driver was bound.
pub fn loaded() {
    OVER.store(false, Ordering::Release);
    AWAITED.store(false, Ordering::SeqCst);
    *lock(&STATE) = DriverState::Loaded;
}

/// A handle is being opened; false if the driver is on its way out.
pub fn file_opening() -> bool {
    let state = lock(&STATE);
    let loaded = *state == DriverState::Loaded;
    OPEN_FILES.fetch_add(loaded.into(), Ordering::SeqCst);
    loaded
}

/// A handle is closed for good.
pub fn file_closed() {
    OPEN_FILES.fetch_sub(1, Ordering::SeqCst);
    if AWAITED.load(Ordering::SeqCst) {
        // Whoever waits has the lock from a look at the count until it sleeps.
        let state = lock(&STATE);
        FILE_CLOSED.notify_all();
        drop(state);
    }
}

/// A reference to a file object: no unload until it is dropped.
pub struct FileHeld(());

impl FileHeld {
    /// For a file that is open, or on its way to be.
    pub fn new() -> Self {
        OPEN_FILES.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for FileHeld {
    fn drop(&mut self) {
        file_closed();
    }
}

/// A callback that runs for somebody else than the framework, who does not wait for it.
pub struct ForeignCallback(());

impl ForeignCallback {
    /// It is about to be called.
    pub fn new() -> Self {
        FOREIGN.fetch_add(1, Ordering::AcqRel);
        Self(())
    }
}

impl Drop for ForeignCallback {
    fn drop(&mut self) {
        FOREIGN.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The way back into the driver is long for a call that may have woken `EvtDriverUnload`: a thread that was to
/// do no more than return finds its code gone, unless the driver has waited for the thread itself.
pub fn return_late(function: &str) {
    const LATENESS: Duration = Duration::from_millis(50);
    const WAKING: [&str; 3] = ["KeSetEvent", "KeReleaseSemaphore", "ObfDereferenceObject"];
    if IN_UNLOAD.load(Ordering::Acquire) && !UNLOADS.get() && WAKING.contains(&function) {
        thread::sleep(LATENESS);
    }
}

/// `DriverUnload`. Wine calls it at once on `sc stop`; Windows only when the last handle is closed,
/// so that is waited for here.
pub extern "system" fn driver_unload(_driver: wdm::Driver) {
    wait_for_files();
    if let Some(driver) = driver::current() {
        UNLOADS.set(true);
        IN_UNLOAD.store(true, Ordering::Release);
        callback::call("EvtDriverUnload", PASSIVE, || {
            (driver.unload)(driver.handle());
        });
        IN_UNLOAD.store(false, Ordering::Release);
        UNLOADS.set(false);
    }
    finish();
}

/// Waits until no file is left. A file whose user handle is closed and cleaned up waits for the
/// driver alone: one that forgets a request would wait for ever, on Windows as well.
fn wait_for_files() {
    let open = || OPEN_FILES.load(Ordering::SeqCst);
    let mut state = lock(&STATE);
    *state = DriverState::Unloading;
    AWAITED.store(true, Ordering::SeqCst);
    loop {
        let before = open();
        if before == 0 {
            return;
        }
        let only_driver = file::all_cleaned_up();
        let (after, wait) = FILE_CLOSED
            .wait_timeout_while(state, PATIENCE, |_| open() == before)
            .unwrap_or_else(PoisonError::into_inner);
        state = after;
        if wait.timed_out() && only_driver {
            stop!(
                "request-left-at-unload",
                "{before} closed files still have requests"
            );
        }
    }
}

/// Deletes the driver's objects and looks for leaks; from here on the driver is not called any
/// more, and must not call. Does nothing the second time: a driver is unbound after its unload as
/// well as after a failed `DriverEntry`.
pub fn finish() {
    if OVER.load(Ordering::Acquire) {
        return;
    }
    before_deletion();
    if let Some(driver) = driver::take() {
        delete(&driver);
    }
    OVER.store(true, Ordering::Release);
    after_deletion();
    *lock(&STATE) = DriverState::Unloaded;
    bind::driver_gone();
    control::finish();
}

fn delete(driver: &Ref<Driver>) {
    object::dispose(driver.handle());
}

/// What the framework would delete with its parent, yet is a leak: the driver has forgotten about
/// it.
fn before_deletion() {
    let threads = system_thread::running();
    if threads > 0 {
        stop!("thread-still-running", "{threads} at unload");
    }
    let callbacks = FOREIGN.load(Ordering::Acquire);
    if callbacks > 0 {
        stop!(
            "callback-still-running",
            "{callbacks} of ksecdd.sys at unload"
        );
    }
    let requests = object::all::<request::Request>()
        .iter()
        .filter(|request| !lock(&request.life).is_completed())
        .count();
    if requests > 0 {
        stop!("request-left-at-unload", "{requests} never completed");
    }
    let memory = memory::from_lookaside();
    if memory > 0 {
        stop!(
            "memory-leak",
            "{memory} memory objects of look-aside lists at unload"
        );
    }
    let keys = registry::open();
    if keys > 0 {
        stop!("key-left-open", "{keys} registry keys open at unload");
    }
    let inits = device_init::open();
    if inits > 0 {
        stop!("device-init-leak", "{inits} neither used nor freed");
    }
}

fn after_deletion() {
    let left: Vec<(Kind, u32)> = object::census();
    if !left.is_empty() {
        stop!(
            "object-leak",
            "still referenced at unload (kind, references): {left:?}"
        );
    }
    former::let_go();
    buffer::check_all();
    etw::check_at_unload();
    sspi::check_at_unload();
    kernel_lookaside::check_at_unload();
    pool::check_at_unload();
    token::check_at_unload();
    reference::check_at_unload();
}
