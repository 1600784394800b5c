//! `WDFWORKITEM`

use crate::{
    attributes::Attributes,
    callback,
    ffi::{In, Out},
    handle::{Handle, Kind},
    irql::PASSIVE,
    layout::{NtStatus, ObjectAttributes, WorkItemConfig},
    object::{self, Body, Ref, lock},
    stop::stop,
    token, worker,
};
use std::sync::{Condvar, Mutex, PoisonError};
use windows_sys::Win32::Foundation::STATUS_SUCCESS;

struct WorkItem {
    run: extern "system" fn(Handle),
    state: Mutex<State>,
    idle: Condvar,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct State {
    queued: bool,
    running: usize,
}

impl Body for WorkItem {
    const KIND: Kind = Kind::WorkItem;

    fn deleted(&self, _handle: Handle) {
        self.flush();
    }
}

impl WorkItem {
    fn flush(&self) {
        drop(
            self.idle
                .wait_while(lock(&self.state), |state| *state != State::default())
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

/// `WdfWorkItemCreate`
pub fn create(
    config: In<WorkItemConfig>,
    attributes: In<ObjectAttributes>,
    result: Out<Handle>,
) -> NtStatus {
    let config = config.need("WDF_WORKITEM_CONFIG");
    if config.size as usize != size_of::<WorkItemConfig>() {
        stop!(
            "structure-size",
            "WDF_WORKITEM_CONFIG.Size is {}",
            config.size
        );
    }
    let attributes = Attributes::read(attributes);
    let (Some(_), Some(run)) = (attributes.parent, config.run) else {
        stop!(
            "work-item-config",
            "a work item needs ParentObject and EvtWorkItemFunc"
        );
    };
    let body = WorkItem {
        run,
        state: Mutex::default(),
        idle: Condvar::new(),
    };
    result.set(object::create(&attributes, None, body).handle());
    STATUS_SUCCESS
}

/// `WdfWorkItemEnqueue`: does nothing when it is queued already.
pub fn enqueue(handle: Handle) {
    let item = object::find::<WorkItem>(handle);
    if !std::mem::replace(&mut lock(&item.state).queued, true) {
        worker::submit(move || run(&item));
    }
}

fn run(item: &Ref<WorkItem>) {
    {
        let mut state = lock(&item.state);
        state.queued = false;
        state.running += 1;
    }
    token::on_behalf(None, || {
        callback::call("EvtWorkItemFunc", PASSIVE, || (item.run)(item.handle()));
    });
    lock(&item.state).running -= 1;
    item.idle.notify_all();
}

/// `WdfWorkItemFlush`
pub fn flush(handle: Handle) {
    object::find::<WorkItem>(handle).flush();
}

/// `WdfWorkItemGetParentObject`
pub fn parent(handle: Handle) -> Handle {
    object::find::<WorkItem>(handle)
        .parent()
        .unwrap_or(Handle::NONE)
}
