//! Faults of what is called later: timers and work items.

use crate::{
    faults::Fault,
    kmdf::{attributes, size, wdf},
    stack,
};
use core::ptr;
use wdk_sys::{
    _WDF_EXECUTION_LEVEL::WdfExecutionLevelPassive, WDF_OBJECT_ATTRIBUTES, WDF_TIMER_CONFIG,
    WDF_WORKITEM_CONFIG, WDFOBJECT, WDFQUEUE, WDFTIMER, WDFWORKITEM,
};

/// Commits the fault if it is one of these.
pub fn commit(fault: Fault, queue: WDFQUEUE) {
    let parent = queue.cast();
    match fault {
        Fault::TimerWithoutParent => _ = timer(ptr::null_mut(), wait_for_itself),
        Fault::TimerWaitsForItself => start(timer(parent, wait_for_itself)),
        Fault::DeepInTimer => start(timer(parent, deep_timer)),
        Fault::WorkItemWithoutParent => _ = work_item(ptr::null_mut()),
        Fault::DeepInWorkItem => {
            let item = work_item(parent);
            // SAFETY: a work item of this call's own.
            unsafe { wdf!(PFN_WDFWORKITEMENQUEUE[WdfWorkItemEnqueueTableIndex](item)) };
        }
        Fault::NoConfiguration => {
            let mut timer: WDFTIMER = ptr::null_mut();
            // SAFETY: none is meant: the lab judges the call.
            let _status = unsafe {
                wdf!(PFN_WDFTIMERCREATE[WdfTimerCreateTableIndex](
                    ptr::null_mut(),
                    ptr::null_mut(),
                    &raw mut timer,
                ))
            };
        }
        _ => (),
    }
}

fn of(parent: WDFOBJECT) -> WDF_OBJECT_ATTRIBUTES {
    WDF_OBJECT_ATTRIBUTES {
        ExecutionLevel: WdfExecutionLevelPassive,
        ParentObject: parent,
        ..attributes()
    }
}

fn timer(parent: WDFOBJECT, expired: extern "C" fn(WDFTIMER)) -> WDFTIMER {
    let mut config = WDF_TIMER_CONFIG {
        Size: size::<WDF_TIMER_CONFIG>(),
        EvtTimerFunc: Some(expired),
        ..WDF_TIMER_CONFIG::default()
    };
    let mut wanted = of(parent);
    let mut timer: WDFTIMER = ptr::null_mut();
    // SAFETY: all three live across the call.
    let _status = unsafe {
        wdf!(PFN_WDFTIMERCREATE[WdfTimerCreateTableIndex](
            &raw mut config,
            &raw mut wanted,
            &raw mut timer,
        ))
    };
    timer
}

/// The timer becomes due at once.
fn start(timer: WDFTIMER) {
    // SAFETY: a timer of the caller's own.
    unsafe { wdf!(PFN_WDFTIMERSTART[WdfTimerStartTableIndex](timer, -1)) };
}

fn work_item(parent: WDFOBJECT) -> WDFWORKITEM {
    let mut config = WDF_WORKITEM_CONFIG {
        Size: size::<WDF_WORKITEM_CONFIG>(),
        EvtWorkItemFunc: Some(deep_work_item),
        ..WDF_WORKITEM_CONFIG::default()
    };
    let mut wanted = of(parent);
    let mut item: WDFWORKITEM = ptr::null_mut();
    // SAFETY: all three live across the call.
    let _status = unsafe {
        wdf!(PFN_WDFWORKITEMCREATE[WdfWorkItemCreateTableIndex](
            &raw mut config,
            &raw mut wanted,
            &raw mut item,
        ))
    };
    item
}

extern "C" fn wait_for_itself(timer: WDFTIMER) {
    // SAFETY: none is meant: the lab judges the call.
    unsafe { wdf!(PFN_WDFTIMERSTOP[WdfTimerStopTableIndex](timer, 1)) };
}

extern "C" fn deep_timer(_timer: WDFTIMER) {
    stack::dive();
}

extern "C" fn deep_work_item(_item: WDFWORKITEM) {
    stack::dive();
}
