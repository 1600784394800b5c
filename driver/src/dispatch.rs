//! From a request to its operation: EvtIoInCallerContext and EvtIoDeviceControl.

use crate::{
    acquire, close,
    handle::Handle,
    handshake,
    kmdf::request::Request,
    memory::try_box,
    nt::token::Client,
    operation::{Operation, Work},
    pending, query, record, release, session_query,
    shared::Shared,
    trace,
};
use tlsgate_protocol::{Ioctl, NtStatus, Request as Typed, Role, payload::functions};
use wdk_sys::{WDFDEVICE, WDFQUEUE, WDFREQUEST};

/// What dispatch did with a request. Nothing is left to do either way; the type makes sure that
/// every path says which.
#[must_use]
pub enum Outcome {
    /// It was completed.
    Completed,
    /// It was pended, and may have been completed since.
    Pended,
}

/// EvtIoInCallerContext: captures the caller's token where one will be needed. IRQL:
/// PASSIVE_LEVEL, in the caller's thread, as the driver is at the top of its stack.
///
/// # Safety
///
/// Called by the framework.
pub unsafe extern "C" fn in_caller_context(device: WDFDEVICE, request: WDFREQUEST) {
    // SAFETY: just delivered.
    let request = unsafe { Request::new(request) };
    let wants_token = request.control_code() == Some(Ioctl::AcquireCredential.code());
    if wants_token && let Err(status) = capture(&request) {
        let (Outcome::Completed | Outcome::Pended) = refuse(request, status);
        return;
    }
    // SAFETY: the device that the request was sent to.
    if let Err((request, status)) = unsafe { request.enqueue(device) } {
        let (Outcome::Completed | Outcome::Pended) = refuse(request, status);
    }
}

fn capture(request: &Request) -> Result<(), NtStatus> {
    let handle =
        crate::device::handle_of(request).ok_or(NtStatus::STATUS_INVALID_DEVICE_REQUEST)?;
    let client =
        try_box(Client::capture()?).map_err(|_| NtStatus::STATUS_INSUFFICIENT_RESOURCES)?;
    let operation = Operation::new(handle.gate, handle.lane, Work::Token(client))?;
    pending::put_operation(request, operation);
    Ok(())
}

/// EvtIoDeviceControl: decodes the request and hands it to its operation. IRQL: PASSIVE_LEVEL;
/// several at a time.
///
/// # Safety
///
/// Called by the framework.
pub unsafe extern "C" fn device_control(
    _queue: WDFQUEUE,
    request: WDFREQUEST,
    output_length: usize,
    _input_length: usize,
    code: u32,
) {
    // SAFETY: just delivered.
    let request = unsafe { Request::new(request) };
    let (Outcome::Completed | Outcome::Pended) = dispatch(request, output_length, code);
}

fn dispatch(request: Request, output_length: usize, code: u32) -> Outcome {
    let Some(handle) = crate::device::handle_of(&request) else {
        return refuse(request, NtStatus::STATUS_INVALID_DEVICE_REQUEST);
    };
    if handle.is_cleaned_up() {
        return refuse(request, NtStatus::STATUS_FILE_CLOSED);
    }
    // The reply is written to the same memory: nothing below reads what was decoded in place once
    // the request has been given to something that replies.
    let input: *const [u8] = request.input();
    // SAFETY: the buffer lives until the request is completed, which consumes it. ACQUIRE_CREDENTIAL,
    // ACCEPT and CONNECT copy what they borrow first; the others own what they decoded.
    let input = unsafe { &*input };
    match Typed::decode(code, input, output_length) {
        Ok((_, typed)) => perform(&handle, request, &typed),
        Err(error) => refuse(request, error.ntstatus()),
    }
}

fn perform(handle: &Shared<Handle>, request: Request, typed: &Typed<'_>) -> Outcome {
    if handle.gate.switched_off & function(typed) != 0 {
        handle.gate.counters.switched_off_refusals.up();
        return refuse(request, NtStatus::STATUS_NOT_SUPPORTED);
    }
    match typed {
        Typed::QueryVersion => query::version(handle, request),
        Typed::QueryStatistics => query::statistics(handle, request),
        Typed::QuerySession(id) => session_query::dispatch(handle, request, *id),
        Typed::Acquire(acquire) => acquire::dispatch(handle, request, acquire),
        Typed::Release(id) => release::dispatch(handle, request, *id),
        Typed::Accept(leg) => handshake::dispatch(handle, request, Role::Server, leg),
        Typed::Connect(leg) => handshake::dispatch(handle, request, Role::Client, leg),
        Typed::Seal(record) => record::seal(handle, request, *record),
        Typed::Unseal(record) => record::unseal(handle, request, *record),
        Typed::Shutdown(id) => record::shutdown(handle, request, *id),
        Typed::CloseSession(id) => close::dispatch(handle, request, *id),
    }
}

/// The kill switch of a request; 0 for what cannot be switched off: the way out, and what tells about
/// the driver.
const fn function(typed: &Typed<'_>) -> u32 {
    match typed {
        Typed::Acquire(_) => functions::ACQUIRE,
        Typed::Accept(_) => functions::ACCEPT,
        Typed::Connect(_) => functions::CONNECT,
        Typed::Seal(_) | Typed::Unseal(_) => functions::RECORDS,
        Typed::Shutdown(_) => functions::SHUTDOWN,
        Typed::QuerySession(_) => functions::QUERY,
        Typed::QueryVersion
        | Typed::QueryStatistics
        | Typed::Release(_)
        | Typed::CloseSession(_) => 0,
    }
}

/// Completes a request with an error, and says so to who listens.
pub fn refuse(request: Request, status: NtStatus) -> Outcome {
    let ioctl = request.control_code().and_then(Ioctl::from_code);
    trace::refused(
        ioctl.map_or("unknown", Ioctl::name),
        status.0,
        status.name().unwrap_or("unnamed"),
    );
    request.complete(status, 0);
    Outcome::Completed
}

/// Completes a request with a reply; `fill` writes it and gives its length.
pub fn reply(mut request: Request, fill: impl FnOnce(&mut [u8]) -> usize) -> Outcome {
    let length = fill(request.output());
    request.complete(NtStatus::STATUS_SUCCESS, length);
    Outcome::Completed
}

/// Copies `bytes` to the front of `room` and gives their number; as many as fit, which is all: the
/// decoder has seen to the room.
pub fn write(room: &mut [u8], bytes: &[u8]) -> usize {
    let length = room.len().min(bytes.len());
    for (place, byte) in room.iter_mut().zip(bytes) {
        *place = *byte;
    }
    length
}
