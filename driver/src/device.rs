//! `\\.\TlsGate`: who may open it, and what belongs to an open handle.

use crate::{
    dispatch,
    gate::Gate,
    handle::Handle,
    kmdf::{
        control_device::{self, Callbacks},
        object::{ContextType, ZeroContext},
        raw,
        request::Request,
        utf16,
    },
    pending::{REQUEST_CONTEXT, request_gone},
    shared::Shared,
};
use core::{
    mem::ManuallyDrop,
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};
use tlsgate_protocol::NtStatus;
use wdk_sys::{WDFDEVICE, WDFDRIVER, WDFFILEOBJECT, WDFOBJECT, WDFREQUEST};

static DEVICE_NAME: [u16; 15] = utf16(r"\Device\TlsGate");
static LINK_NAME: [u16; 26] = utf16(r"\DosDevices\Global\TlsGate");

/// Context space of a file object: one owner of its [`Handle`], null before it is opened.
struct FileContext(AtomicPtr<Handle>);

// SAFETY: a null pointer is a value, and the pointer is atomic.
unsafe impl ZeroContext for FileContext {}

static FILE_CONTEXT: ContextType<FileContext> =
    ContextType::new(c"TlsGateFile", &raw const FILE_CONTEXT);

/// Makes the device with a security descriptor, given as SDDL. IRQL: PASSIVE_LEVEL, from `DriverEntry`.
///
/// # Errors
///
/// What the framework says.
///
/// # Safety
///
/// `driver` is this driver's framework object.
pub unsafe fn create(driver: WDFDRIVER, security: &[u16]) -> Result<(), NtStatus> {
    let callbacks = Callbacks {
        create: Some(file_create),
        cleanup: Some(file_cleanup),
        in_caller_context: Some(dispatch::in_caller_context),
        device_control: Some(dispatch::device_control),
        file_context: &FILE_CONTEXT,
        file_gone: Some(file_gone),
        request_context: &REQUEST_CONTEXT,
        request_gone: Some(request_gone),
    };
    // SAFETY: this function's contract.
    unsafe { control_device::create(driver, &DEVICE_NAME, &LINK_NAME, security, &callbacks) }
}

/// The belongings of the handle that a request came over. An owner of its own: the file object's
/// goes with the request, at the latest. IRQL: up to DISPATCH_LEVEL.
pub fn handle_of(request: &Request) -> Option<Shared<Handle>> {
    let file = request.file();
    if file.is_null() {
        return None;
    }
    belongings(file)
}

/// EvtDeviceFileCreate. IRQL: PASSIVE_LEVEL.
///
/// # Safety
///
/// Called by the framework.
unsafe extern "C" fn file_create(_device: WDFDEVICE, request: WDFREQUEST, file: WDFFILEOBJECT) {
    // SAFETY: just delivered.
    let request = unsafe { Request::new(request) };
    // SAFETY: the file object is being created.
    let status = match unsafe { open(file) } {
        Ok(()) => NtStatus::STATUS_SUCCESS,
        Err(status) => status,
    };
    request.complete_create(status);
}

/// # Safety
///
/// `file` is being created.
unsafe fn open(file: WDFFILEOBJECT) -> Result<(), NtStatus> {
    // There is nothing below the device: a name would only bypass whoever guards by name.
    // SAFETY: this function's contract.
    if unsafe { control_device::has_name(file) } {
        return Err(NtStatus::STATUS_OBJECT_NAME_NOT_FOUND);
    }
    let gate = Gate::get().ok_or(NtStatus::STATUS_INVALID_DEVICE_STATE)?;
    // SAFETY: every file object of the device has this context; the framework keeps it.
    let context = unsafe { FILE_CONTEXT.of(file.cast()) };
    let context = context.ok_or(NtStatus::STATUS_INVALID_DEVICE_REQUEST)?;
    let handle = Handle::new(gate)?;
    context.0.store(handle.into_raw(), Ordering::Release);
    Ok(())
}

/// EvtFileCleanup: the last handle was closed. IRQL: PASSIVE_LEVEL (the file object's execution
/// level), in any thread; requests may be pending.
///
/// # Safety
///
/// Called by the framework.
unsafe extern "C" fn file_cleanup(file: WDFFILEOBJECT) {
    if let Some(handle) = belongings(file) {
        handle.clean_up();
    }
}

/// The end of a file object, as EvtCleanupCallback. IRQL: PASSIVE_LEVEL.
///
/// # Safety
///
/// Called by the framework.
unsafe extern "C" fn file_gone(file: WDFOBJECT) {
    // SAFETY: every file object of the device has this context; it goes after this callback.
    let context = unsafe { FILE_CONTEXT.of(file.cast()) };
    let Some(context) = context else { return };
    let raw = context.0.swap(ptr::null_mut(), Ordering::AcqRel);
    if !raw.is_null() {
        // SAFETY: what `open` gave away, taken back once.
        let handle = unsafe { Shared::from_raw(raw) };
        // Clean-up has run for every handle that was opened; this makes sure of it.
        handle.clean_up();
    }
}

/// A further owner of what the file object owns.
fn belongings(file: WDFFILEOBJECT) -> Option<Shared<Handle>> {
    // SAFETY: every file object of the device has this context; the callers hold the file object.
    let context = unsafe { FILE_CONTEXT.of(file.cast()) }?;
    let raw = context.0.load(Ordering::Acquire);
    // SAFETY: null, or what `open` gave away; `ManuallyDrop` leaves that owner in place.
    let owner = (!raw.is_null()).then(|| ManuallyDrop::new(unsafe { Shared::from_raw(raw) }))?;
    Some(Shared::clone(&owner))
}

/// What the framework's callbacks return.
pub const fn to_nt(result: Result<(), NtStatus>) -> wdk_sys::NTSTATUS {
    match result {
        Ok(()) => raw(NtStatus::STATUS_SUCCESS),
        Err(status) => raw(status),
    }
}
