//! `WDFREQUEST`: an IRP on its way through the driver.

use crate::{
    buffer::{self, Buffer},
    callback, cancel,
    carrier::Carrier,
    checks,
    device::Device,
    ffi::Out,
    file::{self, File},
    handle::{Handle, Kind},
    irql::PASSIVE,
    layout::{NtStatus, RequestParameters},
    life::{Broken, Life},
    object::{self, Body, Ref, lock},
    queue, recorder, spinlock,
    stop::stop,
    token,
    wdm::{self, Irp},
};
use std::sync::{
    Mutex, OnceLock,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};
use windows_sys::Win32::Foundation::{STATUS_BUFFER_TOO_SMALL, STATUS_CANCELLED, STATUS_SUCCESS};

/// `EvtRequestCancel`
pub type EvtCancel = extern "system" fn(Handle);

/// An IRP that the driver sees.
pub struct Request {
    /// What it came in.
    pub carrier: Carrier,
    /// Who may do what.
    pub life: Mutex<Life<EvtCancel>>,
    /// The device.
    pub device: Handle,
    /// The file it came over.
    pub file: Ref<File>,
    /// The queue that delivered it.
    pub queue: OnceLock<Handle>,
    /// `IoControlCode`
    pub code: u32,
    /// Bytes of input.
    pub input: usize,
    /// Bytes of room for output.
    pub output: usize,
    /// The process and token that asked.
    pub caller: token::Caller,
    major: u8,
    minor: u8,
    buffer: Mutex<Buffer>,
    information: AtomicUsize,
}

impl Body for Request {
    const KIND: Kind = Kind::Request;
}

impl Request {
    /// Lets the recorder have it, as it came.
    pub fn record(&self) {
        let room = u32::try_from(self.output).unwrap_or(u32::MAX);
        recorder::keep(self.code, room, lock(&self.buffer).input());
    }
}

static COMPLETED: AtomicU64 = AtomicU64::new(0);

/// IOCTLs completed so far.
pub fn completed() -> u64 {
    COMPLETED.load(Ordering::Relaxed)
}

/// Makes the framework's object for an IRP that has just arrived.
pub fn create(device: &Ref<Device>, file: &Ref<File>, irp: Irp) -> Ref<Request> {
    let stack = irp.stack();
    let is_control = stack.major == wdm::DEVICE_CONTROL;
    let [output, input, code, _] = if is_control {
        stack.parameters.map(lower)
    } else {
        [0; 4]
    };
    let (input, output) = (input as usize, output as usize);
    let asked = Asked {
        major: stack.major,
        minor: stack.minor,
        code,
        input,
        output,
        caller: token::Caller::of_dispatch(),
    };
    let buffer = Buffer::new(irp, input, output);
    make(device, file, Carrier::Irp(irp), asked, buffer)
}

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Asked {
    /// `IRP_MJ_...`
    pub major: u8,
    /// `IRP_MN_...`
    pub minor: u8,
    /// `IoControlCode`
    pub code: u32,
    /// Bytes of input.
    pub input: usize,
    /// Bytes of room for output.
    pub output: usize,
    /// By whom.
    pub caller: token::Caller,
}

/// Makes the framework's object for what has just arrived.
pub fn make(
    device: &Ref<Device>,
    file: &Ref<File>,
    carrier: Carrier,
    asked: Asked,
    buffer: Buffer,
) -> Ref<Request> {
    let body = Request {
        carrier,
        life: Mutex::new(Life::new()),
        device: device.handle(),
        file: file.clone(),
        queue: OnceLock::new(),
        code: asked.code,
        input: asked.input,
        output: asked.output,
        caller: asked.caller,
        major: asked.major,
        minor: asked.minor,
        buffer: Mutex::new(buffer),
        information: AtomicUsize::new(0),
    };
    // All children of a device are in one place, for which the threads that a benchmark has would wait.
    let parent = checks::COSTLY.then(|| device.handle());
    let request = object::create(&device.init.request_attributes, parent, body);
    #[cfg(feature = "bench")]
    crate::bench::recent::made(request.clone().object());
    request
}

#[expect(clippy::cast_possible_truncation, reason = "the upper half is padding")]
fn lower(word: u64) -> u32 {
    word as u32
}

/// An IOCTL begins its way: `EvtIoInCallerContext` on a thread with the caller's token, else
/// straight to the queue.
pub fn arrive(request: &Ref<Request>) {
    let device = object::find::<Device>(request.device);
    let Some(in_caller_context) = device.init.in_caller_context else {
        queue::insert(device.default_queue.get().copied(), request);
        return;
    };
    let handle = request.handle();
    token::on_behalf(Some(request.caller), || {
        callback::of_file("EvtIoInCallerContext", PASSIVE, || {
            in_caller_context(device.handle(), handle);
        });
    });
    if lock(&request.life).is_arrived() {
        stop!(
            "request-lost",
            "EvtIoInCallerContext neither completed nor enqueued the request"
        );
    }
}

/// The requests of a file that are not freed.
pub fn of_file(file: Handle) -> Vec<Ref<Request>> {
    let mut requests = object::all::<Request>();
    requests.retain(|request| request.file.handle() == file);
    requests
}

/// STOPs when the driver broke a rule of the request's life.
pub fn obey<T>(outcome: Result<T, Broken>) -> T {
    outcome.unwrap_or_else(|rule| stop!(rule, "{}", crate::call::function()))
}

/// What `look` makes of a request, which must be the driver's. `look` uses no object.
fn owned<R>(handle: Handle, look: impl FnOnce(&Request) -> R) -> R {
    object::with_even_deleted(handle, |request: &Request| {
        obey(lock(&request.life).owned());
        look(request)
    })
}

/// `WdfRequestCompleteWithInformation`
pub fn complete(handle: Handle, status: NtStatus, information: usize) {
    let request = object::find_even_deleted::<Request>(handle);
    if spinlock::held() > 0 {
        // Completion runs code of other drivers: "may deadlock", says the reference page of
        // IoCompleteRequest.
        stop!("completed-under-spin-lock", "{}", crate::call::function());
    }
    if status == windows_sys::Win32::Foundation::STATUS_PENDING {
        stop!("completed-as-pending", "STATUS_PENDING is not a result");
    }
    obey(lock(&request.life).complete());
    finish(&request, status, information);
}

/// `WdfRequestComplete`
pub fn complete_plain(handle: Handle, status: NtStatus) {
    let information = object::with_even_deleted(handle, |request: &Request| {
        request.information.load(Ordering::Relaxed)
    });
    complete(handle, status, information);
}

/// `WdfRequestCompleteWithPriorityBoost`
pub fn complete_boosted(handle: Handle, status: NtStatus, _boost: i8) {
    complete_plain(handle, status);
}

/// The request leaves, whoever completed it; its life says so already.
pub fn finish(request: &Ref<Request>, status: NtStatus, information: usize) {
    let is_control = request.major == wdm::DEVICE_CONTROL;
    if is_control && information > request.output {
        stop!(
            "information-too-large",
            "{information} bytes, but the caller has room for {}",
            request.output
        );
    }
    // The I/O manager copies nothing for an error, but does for a warning such as
    // STATUS_BUFFER_OVERFLOW.
    let copied = if is_error(status) { 0 } else { information };
    let lent = lock(&request.buffer).complete(request.carrier.irp(), request.code, copied);
    let file = request.file.clone();
    object::dispose(request.handle());
    if is_control {
        COMPLETED.fetch_add(1, Ordering::Relaxed);
        cancel::complete(&request.carrier, status, information, lent);
        file::request_completed(&file);
    } else {
        cancel::complete(&request.carrier, status, information, lent);
        if status < 0 {
            file::refuse(&file);
        } else {
            file::admit(&file);
        }
    }
}

/// `NT_ERROR`
fn is_error(status: NtStatus) -> bool {
    status.cast_unsigned() >> 30 == 3
}

/// `WdfRequestGetParameters`
pub fn parameters(handle: Handle, result: Out<RequestParameters>) {
    let given = result
        .get()
        .map_or(0, |parameters| usize::from(parameters.size));
    if given != size_of::<RequestParameters>() {
        stop!("structure-size", "WDF_REQUEST_PARAMETERS.Size is {given}");
    }
    #[expect(clippy::cast_possible_truncation, reason = "compared above")]
    result.set(owned(handle, |request| RequestParameters {
        size: given as u16,
        minor: request.minor,
        kind: u32::from(request.major),
        output_length: request.output,
        input_length: request.input,
        code: request.code,
        type3: 0,
    }));
}

/// `WdfRequestRetrieveInputBuffer`
pub fn input(handle: Handle, least: usize, result: Out<usize>, length: Out<usize>) -> NtStatus {
    owned(handle, |request| {
        retrieve(request, request.input, least, result, length)
    })
}

/// `WdfRequestRetrieveOutputBuffer`
pub fn output(handle: Handle, least: usize, result: Out<usize>, length: Out<usize>) -> NtStatus {
    owned(handle, |request| {
        retrieve(request, request.output, least, result, length)
    })
}

fn retrieve(
    request: &Request,
    size: usize,
    least: usize,
    result: Out<usize>,
    length: Out<usize>,
) -> NtStatus {
    if size == 0 || size < least {
        result.set(0);
        length.set_if_wanted(0);
        return STATUS_BUFFER_TOO_SMALL;
    }
    buffer::give(lock(&request.buffer).address(), size, result, length);
    STATUS_SUCCESS
}

/// `WdfRequestSetInformation`
pub fn set_information(handle: Handle, information: usize) {
    owned(handle, |request| {
        request.information.store(information, Ordering::Relaxed);
    });
}

/// `WdfRequestGetInformation`
pub fn information(handle: Handle) -> usize {
    owned(handle, |request| {
        request.information.load(Ordering::Relaxed)
    })
}

/// `WdfRequestGetFileObject`
pub fn file(handle: Handle) -> Handle {
    owned(handle, |request| request.file.handle())
}

/// `WdfRequestGetIoQueue`
pub fn io_queue(handle: Handle) -> Handle {
    owned(handle, |request| request.queue.get().copied()).unwrap_or(Handle::NONE)
}

/// `WdfRequestGetRequestorProcessId`
pub fn process(handle: Handle) -> u32 {
    owned(handle, |request| request.caller.process)
}

/// `WdfRequestGetRequestorMode`: `UserMode`, always.
pub fn mode(handle: Handle) -> i8 {
    owned(handle, |_| 1)
}

/// `WdfRequestMarkCancelableEx`
pub fn mark_cancelable(handle: Handle, callback: Option<EvtCancel>) -> NtStatus {
    let Some(callback) = callback else {
        stop!("null-pointer", "EvtRequestCancel is NULL")
    };
    let marked = object::with_even_deleted(handle, |request: &Request| {
        obey(lock(&request.life).mark(callback))
    });
    if marked {
        STATUS_SUCCESS
    } else {
        STATUS_CANCELLED
    }
}

/// `WdfRequestUnmarkCancelable`
pub fn unmark_cancelable(handle: Handle) -> NtStatus {
    let unmarked = object::with_even_deleted(handle, |request: &Request| {
        obey(lock(&request.life).unmark())
    });
    if unmarked {
        STATUS_SUCCESS
    } else {
        STATUS_CANCELLED
    }
}

/// `WdfRequestIsCanceled`
pub fn is_cancelled(handle: Handle) -> u8 {
    let request = object::find_even_deleted::<Request>(handle);
    u8::from(obey(lock(&request.life).is_cancelled()))
}
