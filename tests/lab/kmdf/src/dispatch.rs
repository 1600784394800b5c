//! Where IRPs come in: Wine's one dispatch thread, which is never kept.

use crate::{
    callback, cancel, device,
    device::Device,
    file, former,
    irql::PASSIVE,
    layout::NtStatus,
    object::Ref,
    request, token, unload,
    wdm::{self, Irp, StackLocation},
    worker,
};
use std::sync::atomic::{AtomicU64, Ordering};
use windows_sys::Win32::Foundation::{
    STATUS_ACCESS_DENIED, STATUS_INVALID_DEVICE_REQUEST, STATUS_NO_SUCH_DEVICE, STATUS_SUCCESS,
};

static ARRIVED: AtomicU64 = AtomicU64::new(0);

/// IOCTLs arrived so far.
pub fn arrived() -> u64 {
    ARRIVED.load(Ordering::Relaxed)
}

/// Every entry of the driver object's `MajorFunction`.
pub extern "system" fn dispatch(device: wdm::Device, irp: Irp) -> NtStatus {
    let stack = irp.stack();
    match stack.major {
        wdm::CREATE => create(&device::of(device), irp, &stack),
        wdm::DEVICE_CONTROL => device_control(&device::of(device), irp, &stack),
        wdm::CLOSE => {
            file::closed(stack.file);
            refuse(irp, STATUS_SUCCESS)
        }
        // Wine sends none; should that change, CLOSE does what is to be done.
        wdm::CLEANUP => refuse(irp, STATUS_SUCCESS),
        // The framework refuses what no queue takes.
        _ => refuse(irp, STATUS_INVALID_DEVICE_REQUEST),
    }
}

/// Completes an IRP that the driver does not see.
fn refuse(irp: Irp, status: NtStatus) -> NtStatus {
    irp.complete(status, 0);
    status
}

fn create(device: &Ref<Device>, irp: Irp, stack: &StackLocation) -> NtStatus {
    if !file::may_open(device, stack.file, token::Caller::of_dispatch()) {
        return refuse(irp, STATUS_ACCESS_DENIED);
    }
    // A driver that is asked to unload, or has not finished initialising, lets nobody in.
    if !device.is_finished() || !unload::file_opening() {
        return refuse(irp, STATUS_NO_SUCH_DEVICE);
    }
    let file = file::open(device, stack.file, wdm::current_process());
    let request = request::create(device, &file, irp);
    let pending = irp.pend();
    let (device, callback) = (
        device.clone(),
        device.init.file.and_then(|config| config.create),
    );
    worker::submit(move || match callback {
        None => request::complete(request.handle(), STATUS_SUCCESS, 0),
        Some(callback) => token::on_behalf(Some(request.caller), || {
            callback::of_file("EvtDeviceFileCreate", PASSIVE, || {
                callback(device.handle(), request.handle(), file.handle());
            });
        }),
    });
    pending
}

fn device_control(device: &Ref<Device>, irp: Irp, stack: &StackLocation) -> NtStatus {
    /// `METHOD_NEITHER`, the mask of the transfer type as well. 0 is METHOD_BUFFERED.
    const METHOD: u64 = 3;
    if file::is_denied(stack.file) {
        return refuse(irp, STATUS_ACCESS_DENIED);
    }
    let Some(file) = file::of(stack.file) else {
        return refuse(irp, STATUS_INVALID_DEVICE_REQUEST);
    };
    if stack.parameters[2] & METHOD != 0 {
        // Only buffered requests are here; a driver that takes no others says the same.
        return refuse(irp, STATUS_INVALID_DEVICE_REQUEST);
    }
    ARRIVED.fetch_add(1, Ordering::Relaxed);
    let request = request::create(device, &file, irp);
    request.record();
    file::request_arrived(&file);
    let pending = irp.pend();
    former::keep(irp);
    cancel::watch(&request);
    worker::submit(move || {
        if file::wait_until_open(&file) {
            request::arrive(&request);
        } else {
            request::complete(request.handle(), STATUS_INVALID_DEVICE_REQUEST, 0);
        }
    });
    pending
}
