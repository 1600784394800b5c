//! IRPs that are over, whose addresses are not to be used again yet.
//!
//! Wine's server tells the dispatch thread to cancel an IRP by its address alone, in the queue that new requests
//! come in (`cancel_irp_call` of server/device.c). An IRP may be completed before the thread gets there, and a new
//! request that is further in front may have its memory by then: it would be cancelled in its place, which no
//! I/O manager does. So the memory is kept until many requests more have been completed.

use crate::{
    layout::NtStatus,
    object::lock,
    stop::lab_failed,
    wdm::{Completion, Irp},
};
use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// How many are kept: more than requests wait in Wine's queue.
const KEPT: usize = 20_000;

/// `STATUS_MORE_PROCESSING_REQUIRED`: whoever completes the IRP is to leave it alone.
const MORE_PROCESSING_REQUIRED: NtStatus = 0xC000_0016_u32.cast_signed();

static FORMER: Mutex<VecDeque<Irp>> = Mutex::new(VecDeque::new());

/// Wine's completion routine, the same for all.
static WINES: AtomicUsize = AtomicUsize::new(0);

/// Has this IRP kept when it is completed. To be called before anybody can complete it.
pub fn keep(irp: Irp) {
    let wines = irp.exchange_completion(completed as *const () as usize);
    let before = WINES.swap(wines, Ordering::AcqRel);
    if wines == 0 || before != 0 && before != wines {
        lab_failed!("an IRP of Wine's with another completion routine");
    }
}

/// The IRP's completion routine, in the place of Wine's.
extern "system" fn completed(device: usize, irp: Irp, context: usize) -> NtStatus {
    let wines = Completion::at(WINES.load(Ordering::Acquire));
    let status = wines.call(device, irp, context);
    // Wine says so itself when its dispatch thread has not yet told the server of the IRP: nobody could cancel
    // it so far, and the thread frees it.
    if status == MORE_PROCESSING_REQUIRED {
        return status;
    }
    irp.free_system_buffer();
    let oldest = {
        let mut former = lock(&FORMER);
        former.push_back(irp);
        (former.len() > KEPT).then(|| former.pop_front()).flatten()
    };
    if let Some(oldest) = oldest {
        oldest.complete_again();
    }
    MORE_PROCESSING_REQUIRED
}

/// The driver is gone: so are they.
pub fn let_go() {
    let all = std::mem::take(&mut *lock(&FORMER));
    all.into_iter().for_each(Irp::complete_again);
}
