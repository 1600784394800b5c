//! `tlsgate.sys`: TLS handshakes by the asynchronous SSPI of the Windows kernel.
//!
//! A request goes one way: [`dispatch`] decodes it (`tlsgate-protocol`), its operation's file
//! ([`acquire`], [`close`], [`handshake`], [`query`], [`record`], [`release`], [`session_query`]) asks
//! `tlsgate-core` what to do, an issuer ([`issuers`]) makes the call ([`leg`], [`acquire`], [`ending`]), the callback
//! brings the result, and the reply is encoded. The rim is in [`kmdf`], [`nt`] and [`sspi`]; policy
//! is in `tlsgate-core`.
//!
//! A leg's parties and their hand-overs:
//!
//! * [`operation::Operation`] has one owner at a time: dispatch, queue, issuer, ksecdd, callback.
//! * [`pending::Pending`] is what its request's parties share; it decides who completes.
//! * Rights ([`sspi::Exclusive`], [`credential::CredentialUse`]) end when dropped, and the last one
//!   of something that is being closed starts its deletion.
//! * [`watch`] gives requests up when their time has run out, and looks after calls that do not come
//!   back; it ends no call.
//!
//! What an administrator has set comes from [`parameters`], what is bounded is counted in [`quota`] and
//! [`handle`], and what listeners are told is in [`trace`].

#![no_std]
#![forbid(
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    clippy::unnecessary_safety_doc
)]
#![deny(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

extern crate alloc;
extern crate wdk_panic;

mod acquire;
mod buffer;
mod close;
mod counters;
mod credential;
mod device;
mod dispatch;
mod ending;
mod gate;
mod handle;
mod handshake;
mod issuers;
mod kmdf;
mod layout;
mod leg;
mod lists;
mod memory;
mod nt;
mod operation;
mod parameters;
mod pending;
mod quarantine;
mod query;
mod quota;
mod record;
mod release;
mod session;
mod session_query;
mod shared;
mod sspi;
mod stock;
mod trace;
mod watch;

use core::ptr;
use gate::Gate;
use kmdf::{call::wdf, object::plain_attributes, size};
use parameters::Parameters;
use tlsgate_protocol::NtStatus;
use wdk_alloc::WdkAllocator;
use wdk_sys::{
    _WDF_DRIVER_INIT_FLAGS::WdfDriverInitNonPnpDriver, DRIVER_OBJECT, NTSTATUS, PCUNICODE_STRING,
    WDF_DRIVER_CONFIG, WDFDRIVER,
};

#[global_allocator]
static ALLOCATOR: WdkAllocator = WdkAllocator;

/// The driver's entry point. IRQL: PASSIVE_LEVEL.
///
/// # Safety
///
/// Called by the I/O manager, through the framework's own entry code.
// SAFETY: no other symbol of the image has this name; the entry code looks for it.
#[unsafe(export_name = "DriverEntry")]
pub unsafe extern "system" fn driver_entry(
    driver: &mut DRIVER_OBJECT,
    registry_path: PCUNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: the I/O manager's own arguments.
    device::to_nt(unsafe { start(driver, registry_path) })
}

/// # Safety
///
/// The arguments are those of `DriverEntry`.
unsafe fn start(
    driver: &mut DRIVER_OBJECT,
    registry_path: PCUNICODE_STRING,
) -> Result<(), NtStatus> {
    let mut config = WDF_DRIVER_CONFIG {
        Size: size::<WDF_DRIVER_CONFIG>(),
        EvtDriverUnload: Some(unload),
        DriverInitFlags: WdfDriverInitNonPnpDriver.cast_unsigned(),
        DriverPoolTag: u32::from_le_bytes(*b"TlsG"),
        ..WDF_DRIVER_CONFIG::default()
    };
    let mut attributes = plain_attributes();
    let mut framework_driver: WDFDRIVER = ptr::null_mut();
    // SAFETY: the I/O manager's arguments; the rest is ours and kept across the call.
    nt::check(unsafe {
        wdf!(PFN_WDFDRIVERCREATE[WdfDriverCreateTableIndex](
            driver,
            registry_path,
            &raw mut attributes,
            &raw mut config,
            &raw mut framework_driver
        ))
    })?;
    trace::open();
    // SAFETY: just made.
    let opened = unsafe { open(framework_driver) };
    if opened.is_err() {
        trace::close();
    }
    opened
}

/// # Safety
///
/// `driver` is this driver's framework object.
unsafe fn open(driver: WDFDRIVER) -> Result<(), NtStatus> {
    // SAFETY: this function's contract.
    let parameters = unsafe { Parameters::read(driver) }?;
    Gate::open(&parameters).inspect_err(|status| trace::start_failed("resources", status.0))?;
    // SAFETY: this function's contract.
    unsafe { device::create(driver, parameters.security()) }.inspect_err(|status| {
        trace::start_failed("device", status.0);
        Gate::shut();
    })
}

/// EvtDriverUnload: every handle is closed. Waits for what is still inside ksecdd. IRQL:
/// PASSIVE_LEVEL.
///
/// # Safety
///
/// Called by the framework, once.
unsafe extern "C" fn unload(_driver: WDFDRIVER) {
    Gate::shut();
    trace::close();
}
