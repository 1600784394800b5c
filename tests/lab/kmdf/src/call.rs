//! A call of the driver into the stand-in: its name and its IRQL limit.

use crate::{
    checks, irql,
    ledger::{self, Whose},
    mine::Mine,
    stack, unload,
};
use std::cell::Cell;

static FUNCTION: Mine<Cell<&'static str>> = Mine::new(|| Cell::new("no function"));

/// The function that the driver is calling on this thread, for messages.
pub fn function() -> &'static str {
    FUNCTION.get().get()
}

/// A call of `function`, which the documents allow up to the IRQL `most`. [`stack::look`] comes first, so that
/// the frames below are not taken for the driver's.
#[inline(never)]
pub fn from_driver<R>(function: &'static str, most: u8, work: impl FnOnce() -> R) -> R {
    ledger::change(Whose::Import);
    irql::at_most(function, most);
    let result = if checks::COSTLY {
        let outer = FUNCTION.get().replace(function);
        let result = work();
        FUNCTION.get().set(outer);
        result
    } else {
        work()
    };
    unload::return_late(function);
    stack::paint();
    // Whose it was before is not known of a call that began before time was entered.
    ledger::change(Whose::Driver);
    result
}

/// A call that does nothing, by the way of all.
pub extern "system" fn nothing() {
    stack::look();
    from_driver("nothing", irql::ANY, || ());
}
