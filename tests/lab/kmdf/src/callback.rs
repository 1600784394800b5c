//! A call of the stand-in into the driver: the IRQL it gets, and how it must leave the thread.

use crate::{
    irql,
    ledger::{self, Whose},
    spinlock, stack,
    stop::stop,
    token, unload,
};

/// Calls into the driver at `level`. When it returns, the thread must be as it was before: same
/// IRQL, no spin lock more, no impersonation.
pub fn call<R>(name: &'static str, level: u8, callback: impl FnOnce() -> R) -> R {
    let outer = irql::set(level);
    let held = spinlock::held();
    let impersonating = token::current();
    let result = ledger::of(Whose::Driver, || stack::measured(name, callback));
    if spinlock::held() != held {
        stop!("spin-lock-held", "{name} returned with a spin lock");
    }
    if irql::current() != level {
        stop!(
            "irql-changed",
            "{name} was called at {} and returned at {}",
            irql::name(level),
            irql::name(irql::current())
        );
    }
    if token::current() != impersonating {
        stop!(
            "left-impersonating",
            "{name} returned with another token than it was called with"
        );
    }
    irql::set(outer);
    result
}

/// As [`call`], on behalf of an open file: whoever has the I/O manager call a driver has a reference to the file
/// object, so the driver is not unloaded until the callback has returned.
pub fn of_file<R>(name: &'static str, level: u8, callback: impl FnOnce() -> R) -> R {
    let _file = unload::FileHeld::new();
    call(name, level, callback)
}

/// `LabCallBack` of the lab's C interface: another stand-in calls the driver, at an IRQL. To wait for its return
/// before unload is the driver's business.
#[unsafe(no_mangle)]
pub extern "system" fn LabCallBack(
    level: u8,
    callback: extern "system" fn(usize, usize),
    first: usize,
    second: usize,
) {
    let _running = unload::ForeignCallback::new();
    call("SspiAsyncNotifyCallback", level, || callback(first, second));
}
