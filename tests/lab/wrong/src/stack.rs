//! Faults with the stack.

use crate::faults::Fault;
use core::hint::black_box;

/// Commits the fault if it is one with the stack of `EvtIoDeviceControl`.
pub fn commit(fault: Fault) {
    if fault == Fault::DeepInRequest {
        dive();
    }
}

/// Uses more stack than anything that is called should, in frames of less than a page each.
pub fn dive() {
    descend(7);
}

#[inline(never)]
fn descend(levels: u8) {
    let mut frame = [levels; 1024];
    black_box(&mut frame);
    if levels > 0 {
        descend(levels - 1);
    }
    // Not before here may the frame go.
    black_box(&mut frame);
}
