//! `wrong.sys`: a KMDF driver that breaks one rule at a time, to prove that the lab sees it.
//!
//! Each IOCTL commits the [`faults::Fault`] of its function code. It can also stand in for a driver of
//! another ABI version. Never load it on a machine that matters.
#![no_std]

extern crate wdk_panic;

mod device;
mod events;
pub mod faults;
mod kmdf;
mod later;
mod lists;
mod locks;
mod objects;
mod pool;
mod registry;
mod requests;
mod sspi;
mod stack;
mod threads;
mod time;
mod tokens;
mod unload;
mod version;

use wdk_alloc::WdkAllocator;
use wdk_sys::{DRIVER_OBJECT, NTSTATUS, PCUNICODE_STRING};

#[global_allocator]
static ALLOCATOR: WdkAllocator = WdkAllocator;

/// The driver's entry point.
///
/// # Safety
///
/// Called by the I/O manager only.
// SAFETY: no other symbol of the image has this name; the entry code calls it.
#[unsafe(export_name = "DriverEntry")]
pub unsafe extern "system" fn driver_entry(
    driver: &mut DRIVER_OBJECT,
    registry_path: PCUNICODE_STRING,
) -> NTSTATUS {
    device::create(driver, registry_path)
}
