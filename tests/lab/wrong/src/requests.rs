//! Faults with requests.

use crate::{
    faults::Fault,
    kmdf::{complete, complete_with, dereference, output, poke, reference, wdf},
    locks,
    pool::{allocate_bytes, fresh_pool},
    stack,
};
use wdk_sys::{
    NT_SUCCESS, STATUS_CANCELLED, STATUS_PENDING, STATUS_SUCCESS, WDFDEVICE, WDFQUEUE, WDFREQUEST,
};

/// Commits the fault if it is one with requests; the request is used up then.
pub fn commit(fault: Fault, queue: WDFQUEUE, request: WDFREQUEST) -> bool {
    match fault {
        Fault::Pending => {
            if !mark(request, cancel) {
                complete_with(request, STATUS_CANCELLED, 0);
            }
        }
        Fault::DoubleCompletion => {
            reference(request.cast());
            complete(request);
            complete(request);
        }
        Fault::DoubleCompletionFreed => {
            complete(request);
            complete(request);
        }
        Fault::MissingUnmark => {
            _ = mark(request, cancel);
            complete(request);
        }
        Fault::MarkedTwice => {
            _ = mark(request, cancel);
            _ = mark(request, cancel);
        }
        Fault::UnmarkNotMarked => unmark(request),
        Fault::DoubleCompletionOnCancel => _ = mark(request, cancel_twice),
        Fault::UnmarkAfterCompletion => _ = mark(request, cancel_and_unmark),
        Fault::UseAfterCompletion => {
            reference(request.cast());
            complete(request);
            output(request);
        }
        Fault::InformationTooLarge => complete_with(request, STATUS_SUCCESS, 1 << 20),
        Fault::BufferOverrun => {
            let (buffer, length) = output(request);
            poke(buffer, length);
            complete(request);
        }
        Fault::BufferTouchedAfterCompletion => {
            let (buffer, _) = output(request);
            reference(request.cast());
            complete(request);
            poke(buffer, 0);
            dereference(request.cast());
        }
        Fault::ReplyNotWritten => {
            let (_, length) = output(request);
            complete_with(request, STATUS_SUCCESS, length);
        }
        Fault::ReplyOfFreshPool => reply_with(request, 0, fresh_pool()),
        Fault::AddressInReply => {
            reply_with(request, 3, (allocate_bytes(24) as u64).to_le_bytes());
        }
        Fault::ImageAddressInReply => {
            reply_with(request, 0, (commit as *const () as u64).to_le_bytes());
        }
        Fault::HandleInReply => reply_with(request, 0, (request as u64).to_le_bytes()),
        Fault::EnqueuedTwice => {
            // SAFETY: the queue has just delivered a request.
            let device = unsafe {
                wdf!(PFN_WDFIOQUEUEGETDEVICE[WdfIoQueueGetDeviceTableIndex](
                    queue
                ))
            };
            enqueue(device, request);
        }
        Fault::CompletedAsPending => complete_with(request, STATUS_PENDING, 0),
        Fault::DeepInCancel => _ = mark(request, cancel_deep),
        Fault::RequestLeft => (),
        Fault::SpinLockHeld => {
            complete(request);
            locks::acquire(locks::create());
        }
        Fault::ObjectLeak => {
            reference(request.cast());
            complete(request);
        }
        _ => return false,
    }
    true
}

/// Commits the fault if it is one of `EvtIoInCallerContext`, whose the request is.
pub fn commit_early(fault: Fault, device: WDFDEVICE, request: WDFREQUEST) -> bool {
    match fault {
        Fault::RequestLost => (),
        Fault::CancelableQueued => {
            _ = mark(request, cancel);
            enqueue(device, request);
        }
        Fault::CompletedWhileQueued => {
            enqueue(device, request);
            complete(request);
        }
        Fault::UsedWhileQueued => {
            enqueue(device, request);
            output(request);
        }
        _ => return false,
    }
    true
}

/// Completes a request with these bytes from this place on.
fn reply_with(request: WDFREQUEST, place: usize, bytes: [u8; 8]) {
    let (buffer, length) = output(request);
    for (offset, byte) in (place..length).zip(bytes) {
        // SAFETY: within the buffer, whose length the lab has told.
        unsafe { buffer.wrapping_add(offset).write_volatile(byte) };
    }
    complete_with(request, STATUS_SUCCESS, place + bytes.len());
}

/// Puts a request into the device's queue.
pub fn enqueue(device: WDFDEVICE, request: WDFREQUEST) {
    // SAFETY: none is meant: the lab judges the call.
    let _status = unsafe {
        wdf!(PFN_WDFDEVICEENQUEUEREQUEST
            [WdfDeviceEnqueueRequestTableIndex](
            device, request
        ))
    };
}

/// False if the request was cancelled before.
fn mark(request: WDFREQUEST, callback: extern "C" fn(WDFREQUEST)) -> bool {
    // SAFETY: none is meant: the lab judges the call.
    let status = unsafe {
        wdf!(PFN_WDFREQUESTMARKCANCELABLEEX
            [WdfRequestMarkCancelableExTableIndex](
            request,
            Some(callback as _),
        ))
    };
    NT_SUCCESS(status)
}

fn unmark(request: WDFREQUEST) {
    // SAFETY: none is meant: the lab judges the call.
    let _status = unsafe {
        wdf!(PFN_WDFREQUESTUNMARKCANCELABLE[WdfRequestUnmarkCancelableTableIndex](request))
    };
}

extern "C" fn cancel(request: WDFREQUEST) {
    complete_with(request, STATUS_CANCELLED, 0);
}

extern "C" fn cancel_deep(request: WDFREQUEST) {
    stack::dive();
    cancel(request);
}

extern "C" fn cancel_and_unmark(request: WDFREQUEST) {
    reference(request.cast());
    complete_with(request, STATUS_CANCELLED, 0);
    unmark(request);
}

extern "C" fn cancel_twice(request: WDFREQUEST) {
    complete_with(request, STATUS_CANCELLED, 0);
    complete_with(request, STATUS_CANCELLED, 0);
}
