//! A call of the driver into the stand-in: its name and its IRQL limit.

use crate::{irql, stop::stop, unload};
use std::cell::Cell;

thread_local! {
    static FUNCTION: Cell<&'static str> = const { Cell::new("no function") };
}

/// The function that the driver is calling on this thread, for messages.
pub fn function() -> &'static str {
    FUNCTION.get()
}

/// Held while the driver's call lasts.
pub struct Call {
    outer: &'static str,
}

/// Starts a call of `function`, which the documents allow up to the IRQL `most`.
pub fn enter(function: &'static str, most: u8) -> Call {
    if unload::is_over() {
        stop!("call-after-unload", "{function}");
    }
    irql::at_most(function, most);
    Call {
        outer: FUNCTION.replace(function),
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        FUNCTION.set(self.outer);
    }
}
