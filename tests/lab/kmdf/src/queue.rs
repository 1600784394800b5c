//! `WDFQUEUE`: the parallel default queue of a device.

use crate::{
    attributes::Attributes,
    call, callback, control,
    device::Device,
    driver,
    ffi::{In, Out},
    handle::{Handle, Kind},
    irql::{self, PASSIVE},
    layout::{
        DISPATCH_PARALLEL, DeviceControl, EXECUTION_PASSIVE, NtStatus, ObjectAttributes,
        QueueConfig, SCOPE_INHERIT, SCOPE_NONE, TRI_STATE_TRUE,
    },
    object::{self, Body, Ref, lock},
    request::{self, Request},
    stop::stop,
    token, worker,
};
use tlsgate_lab_control::kmdf::Presentation;
use windows_sys::Win32::Foundation::{
    STATUS_CANCELLED, STATUS_INVALID_DEVICE_REQUEST, STATUS_SUCCESS,
};

/// A queue.
pub struct Queue {
    device: Handle,
    device_control: Option<DeviceControl>,
    passive: bool,
}

impl Body for Queue {
    const KIND: Kind = Kind::Queue;
}

/// `WdfIoQueueCreate`
pub fn create(
    device: Handle,
    config: In<QueueConfig>,
    attributes: In<ObjectAttributes>,
    result: Out<Handle>,
) -> NtStatus {
    let device = object::find::<Device>(device);
    let config = config.need("WDF_IO_QUEUE_CONFIG");
    if config.size as usize != size_of::<QueueConfig>() {
        stop!(
            "structure-size",
            "WDF_IO_QUEUE_CONFIG.Size is {}",
            config.size
        );
    }
    if config.dispatch != DISPATCH_PARALLEL || config.default == 0 {
        stop!(
            "unimplemented",
            "WdfIoQueueCreate: only a parallel default queue"
        );
    }
    if config.power_managed == TRI_STATE_TRUE {
        stop!(
            "queue-config",
            "the queue of a control device cannot be power managed"
        );
    }
    if config.io_default | config.io_read | config.io_write | config.internal_control != 0 {
        stop!("unimplemented", "WdfIoQueueCreate: only EvtIoDeviceControl");
    }
    let attributes = Attributes::read(attributes);
    let scopes = [
        attributes.synchronization_scope,
        device.attributes().synchronization_scope,
    ];
    if scopes
        .iter()
        .any(|&scope| scope != 0 && scope != SCOPE_INHERIT && scope != SCOPE_NONE)
    {
        stop!(
            "unimplemented",
            "WdfIoQueueCreate: only WdfSynchronizationScopeNone"
        );
    }
    let levels = [
        &attributes,
        device.attributes(),
        driver::current()
            .as_ref()
            .map_or(&attributes, |driver| driver.attributes()),
    ]
    .map(|attributes| attributes.execution_level);
    let body = Queue {
        device: device.handle(),
        device_control: config.device_control,
        passive: levels.contains(&EXECUTION_PASSIVE),
    };
    let queue = object::create(&attributes, Some(device.handle()), body);
    if device.default_queue.set(queue.handle()).is_err() {
        stop!("queue-config", "the device has a default queue already");
    }
    result.set_if_wanted(queue.handle());
    STATUS_SUCCESS
}

/// `WdfIoQueueGetDevice`
pub fn device(handle: Handle) -> Handle {
    object::find::<Queue>(handle).device
}

/// `WdfDeviceEnqueueRequest`
pub fn enqueue(device: Handle, handle: Handle) -> NtStatus {
    let queue = object::with(device, |device: &Device| {
        device.default_queue.get().copied()
    });
    let request = object::find_even_deleted::<Request>(handle);
    insert(queue, &request);
    STATUS_SUCCESS
}

/// Puts a request into the device's default queue, which presents it.
pub fn insert(queue: Option<Handle>, request: &Ref<Request>) {
    let alive = request::obey(lock(&request.life).enqueue());
    if !alive {
        request::finish(request, STATUS_CANCELLED, 0);
        return;
    }
    let Some(queue) = queue else {
        stop!(
            "queue-config",
            "{}: the device has no default queue",
            call::function()
        );
    };
    let queue = object::find::<Queue>(queue);
    if request.carrier.irp().is_none() {
        present(&queue, request);
        return;
    }
    match control::switches().presentation {
        Presentation::Inline if irql::current() == PASSIVE => present(&queue, request),
        _ => {
            let request = request.clone();
            worker::submit(move || token::on_behalf(None, || present(&queue, &request)));
        }
    }
}

/// Hands a request to the driver, unless it was cancelled meanwhile.
fn present(queue: &Ref<Queue>, request: &Ref<Request>) {
    if !lock(&request.life).deliver() {
        return;
    }
    _ = request.queue.set(queue.handle());
    let Some(device_control) = queue.device_control else {
        request::complete(request.handle(), STATUS_INVALID_DEVICE_REQUEST, 0);
        return;
    };
    let level = if queue.passive {
        PASSIVE
    } else {
        control::callback_irql()
    };
    callback::of_file("EvtIoDeviceControl", level, || {
        device_control(
            queue.handle(),
            request.handle(),
            request.output,
            request.input,
            request.code,
        );
    });
}

/// Completes a request that still waits in a queue: its file was cleaned up.
pub fn cancel_waiting(request: &Ref<Request>) {
    if lock(&request.life).withdraw() {
        request::finish(request, STATUS_CANCELLED, 0);
    }
}
