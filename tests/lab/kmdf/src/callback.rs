//! A call of the stand-in into the driver: the IRQL it gets, and how it must leave the thread.

use crate::{irql, spinlock, stop::stop, token};

/// Calls into the driver at `level`. When it returns, the thread must be as it was before: same
/// IRQL, no spin lock more, no impersonation.
pub fn call<R>(name: &str, level: u8, callback: impl FnOnce() -> R) -> R {
    let outer = irql::set(level);
    let held = spinlock::held();
    let impersonating = token::current();
    let result = callback();
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
