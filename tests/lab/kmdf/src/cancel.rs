//! Cancelling: the IRP's cancel routine, `EvtRequestCancel`, and the race with completion.

use crate::{
    callback,
    carrier::Carrier,
    control,
    life::OnCancel,
    object::{Ref, lock},
    request::{self, Request},
    token,
    wdm::{Device, Irp},
    worker,
};
use std::{
    collections::HashMap,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use windows_sys::Win32::Foundation::STATUS_CANCELLED;

/// An IRP that has not been completed.
struct Pending {
    request: Ref<Request>,
    /// Its cancel routine has run, or never will.
    routine_over: bool,
    /// The result, when the IRP was completed while its cancel routine was about to look at it.
    result: Option<(i32, usize)>,
}

static PENDING: LazyLock<Mutex<HashMap<Irp, Pending>>> = LazyLock::new(Mutex::default);
static CALLED: AtomicU64 = AtomicU64::new(0);

/// Calls of `EvtRequestCancel` so far.
pub fn called() -> u64 {
    CALLED.load(Ordering::Relaxed)
}

/// Makes an IRP cancelable; to be called in Wine's dispatch thread, on which cancellations come as
/// well.
pub fn watch(request: &Ref<Request>) {
    let Some(irp) = request.carrier.irp() else {
        return;
    };
    let pending = Pending {
        request: request.clone(),
        routine_over: false,
        result: None,
    };
    lock(&PENDING).insert(irp, pending);
    irp.exchange_cancel_routine(routine as *const () as usize);
    // Cancelled before there was a routine: nobody will call it, so take it out and act in its
    // place.
    if irp.is_cancelled() && irp.exchange_cancel_routine(0) != 0 {
        if let Some(pending) = lock(&PENDING).get_mut(&irp) {
            pending.routine_over = true;
        }
        cancel(request);
    }
}

/// The IRP's cancel routine: `IoCancelIrp` calls it with the cancel spin lock held, on Wine's
/// dispatch thread.
extern "system" fn routine(_device: Device, irp: Irp) {
    irp.release_cancel_lock();
    let request = lock(&PENDING)
        .get(&irp)
        .map(|pending| pending.request.clone());
    let Some(request) = request else { return };
    cancel(&request);
    // From here on nobody looks at the IRP for the sake of cancelling. If it was completed
    // meanwhile, its end is ours to bring about.
    let late = {
        let mut pending = lock(&PENDING);
        let late = pending.get_mut(&irp).and_then(|pending| {
            pending.routine_over = true;
            pending.result
        });
        if late.is_some() {
            pending.remove(&irp);
        }
        late
    };
    if let Some((status, information)) = late {
        irp.complete(status, information);
    }
}

/// Sends a request back where it came from, with the buffer that was lent for it.
#[cfg_attr(
    not(feature = "bench"),
    expect(
        clippy::needless_pass_by_value,
        reason = "given back in builds that lend"
    )
)]
pub fn complete(carrier: &Carrier, status: i32, information: usize, lent: Vec<u8>) {
    match carrier {
        Carrier::Irp(irp) => complete_irp(*irp, status, information),
        #[cfg(feature = "bench")]
        Carrier::Call(_) => carrier.tell(status, information, lent),
    }
    #[cfg(not(feature = "bench"))]
    debug_assert!(lent.is_empty(), "nobody lends buffers");
}

/// Completes an IRP, unless its cancel routine is at work on it, which will do it then.
fn complete_irp(irp: Irp, status: i32, information: usize) {
    {
        let mut pending = lock(&PENDING);
        if let Some(entry) = pending.get_mut(&irp)
            && irp.exchange_cancel_routine(0) == 0
            && !entry.routine_over
        {
            entry.result = Some((status, information));
            return;
        }
        pending.remove(&irp);
    }
    irp.complete(status, information);
}

/// Cancels a request as the framework does: what the driver never saw is completed; what it has
/// marked goes to its `EvtRequestCancel`; of the rest it will learn when it asks.
pub fn cancel(request: &Ref<Request>) {
    let action = lock(&request.life).cancel();
    match action {
        OnCancel::Nothing => (),
        OnCancel::Complete => {
            let request = request.clone();
            worker::submit(move || request::finish(&request, STATUS_CANCELLED, 0));
        }
        OnCancel::Call(callback) => {
            let request = request.clone();
            worker::submit(move || call(&request, callback));
        }
    }
}

fn call(request: &Ref<Request>, callback: request::EvtCancel) {
    lock(&request.life).entering_cancel();
    CALLED.fetch_add(1, Ordering::Relaxed);
    let level = control::callback_irql();
    token::on_behalf(None, || {
        callback::of_file("EvtRequestCancel", level, || callback(request.handle()));
    });
}
