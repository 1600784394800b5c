//! `wdfldr.sys` for the lab: what a KMDF 1.33 driver is bound to, and the judge of what it does.
//!
//! An ordinary DLL that Wine loads into `winedevice.exe` because the driver imports it. On
//! [`bind`] it hands the driver a function table ([`table`]), and replaces the driver's imports
//! from the kernel ([`patch`], [`kernel`]) by functions that keep accounts. Requests go from
//! Wine's one dispatch thread ([`dispatch`]) to workers of its own ([`worker`]), so that the driver
//! is called in parallel as on Windows. A broken rule ends the process: [`stop`].
//!
//! Rules are, on purpose, stricter than Windows with Driver Verifier: whatever the documents forbid
//! is refused at once, not only when it happens to go wrong.

#![cfg_attr(
    windows,
    allow(
        clippy::missing_const_for_thread_local,
        reason = "does not see the `const` that is there, for targets without native thread locals"
    )
)]

// What touches nothing of Windows is tested on any host, where nothing else uses it.
#[cfg(any(windows, test))]
#[cfg_attr(not(windows), allow(dead_code, reason = "only the tests use it there"))]
mod blocks;
#[cfg(any(windows, test))]
#[cfg_attr(not(windows), allow(dead_code, reason = "only the tests use it there"))]
mod checks;
#[cfg(any(windows, test))]
#[cfg_attr(not(windows), allow(dead_code, reason = "only the tests use it there"))]
mod event;
#[cfg(windows)]
mod former;
#[cfg(any(windows, test))]
#[cfg_attr(not(windows), allow(dead_code, reason = "only the tests use it there"))]
mod guard;
#[cfg(any(windows, test))]
#[cfg_attr(not(windows), allow(dead_code, reason = "only the tests use it there"))]
mod life;
#[cfg(any(windows, test))]
#[cfg_attr(not(windows), allow(dead_code, reason = "only the tests use it there"))]
mod noise;

#[cfg(any(windows, test))]
#[cfg_attr(not(windows), allow(dead_code, reason = "only the tests use it there"))]
mod sddl;

#[cfg(windows)]
mod account;
#[cfg(windows)]
mod arena;
#[cfg(windows)]
mod attributes;
#[cfg(all(windows, feature = "bench"))]
mod bench;
#[cfg(windows)]
mod bind;
#[cfg(windows)]
mod buffer;
#[cfg(windows)]
mod call;
#[cfg(windows)]
mod callback;
#[cfg(windows)]
mod cancel;
#[cfg(windows)]
mod carrier;
#[cfg(windows)]
mod clock;
#[cfg(windows)]
mod context;
#[cfg(windows)]
mod control;
#[cfg(windows)]
mod device;
#[cfg(windows)]
mod device_init;
#[cfg(windows)]
mod dispatch;
#[cfg(windows)]
mod driver;
#[cfg(windows)]
mod etw;
#[cfg(windows)]
mod event_data;
#[cfg(windows)]
mod exception;
#[cfg(windows)]
mod ffi;
#[cfg(windows)]
mod file;
#[cfg(windows)]
mod handle;
#[cfg(windows)]
mod irql;
#[cfg(windows)]
mod kernel;
#[cfg(windows)]
mod kernel_lookaside;
#[cfg(windows)]
mod layout;
#[cfg(windows)]
#[cfg_attr(
    not(feature = "bench"),
    allow(dead_code, reason = "only builds that measure read it")
)]
mod ledger;
#[cfg(windows)]
mod lookaside;
#[cfg(windows)]
mod memory;
#[cfg(windows)]
mod mine;
#[cfg(windows)]
mod object;
#[cfg(windows)]
mod patch;
#[cfg(windows)]
mod pool;
#[cfg(windows)]
mod queue;
#[cfg(windows)]
mod recorder;
#[cfg(windows)]
mod reference;
#[cfg(windows)]
mod registry;
#[cfg(windows)]
mod reply;
#[cfg(windows)]
mod request;
#[cfg(windows)]
mod site;
#[cfg(windows)]
mod spinlock;
#[cfg(windows)]
mod sspi;
#[cfg(windows)]
mod stack;
#[cfg(windows)]
mod stop;
#[cfg(windows)]
mod table;
#[cfg(windows)]
mod thread;
#[cfg(windows)]
mod timer;
#[cfg(windows)]
mod token;
#[cfg(windows)]
mod unload;
#[cfg(windows)]
mod wait;
#[cfg(windows)]
mod wdm;
#[cfg(windows)]
mod worker;
#[cfg(windows)]
mod workitem;
