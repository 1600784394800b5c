//! The IRQL of each thread. Wine's is always 0; here it follows the rules of Windows.

use crate::{mine::Mine, stop::stop};
use std::cell::Cell;

/// `PASSIVE_LEVEL`
pub const PASSIVE: u8 = 0;
/// `APC_LEVEL`
pub const APC: u8 = 1;
/// `DISPATCH_LEVEL`
pub const DISPATCH: u8 = 2;
/// `HIGH_LEVEL`: no limit.
pub const ANY: u8 = 15;

static CURRENT: Mine<Cell<u8>> = Mine::new(|| Cell::new(PASSIVE));

/// The level of the current thread.
pub fn current() -> u8 {
    CURRENT.get().get()
}

/// Sets the level of the current thread and returns the former one.
pub fn set(level: u8) -> u8 {
    CURRENT.get().replace(level)
}

/// STOPs when `function` is called above `most`.
pub fn at_most(function: &str, most: u8) {
    let level = current();
    if level > most {
        stop!(
            "irql",
            "{function} at {}, allowed up to {}",
            name(level),
            name(most)
        );
    }
}

/// A level's name in Windows' documents.
pub fn name(level: u8) -> String {
    match level {
        PASSIVE => "PASSIVE_LEVEL".into(),
        APC => "APC_LEVEL".into(),
        DISPATCH => "DISPATCH_LEVEL".into(),
        other => format!("IRQL {other}"),
    }
}

/// `KfRaiseIrql`, which is `KeRaiseIrql` on x64.
pub fn raise(level: u8) -> u8 {
    if level < current() {
        stop!(
            "irql",
            "KeRaiseIrql from {} down to {}",
            name(current()),
            name(level)
        );
    }
    set(level)
}

/// `KeLowerIrql`
pub fn lower(level: u8) {
    if level > current() {
        stop!(
            "irql",
            "KeLowerIrql from {} up to {}",
            name(current()),
            name(level)
        );
    }
    set(level);
}

/// `LabCurrentIrql` of the lab's C interface: the calling thread's level, for other stand-ins.
#[unsafe(no_mangle)]
pub extern "system" fn LabCurrentIrql() -> u8 {
    current()
}
