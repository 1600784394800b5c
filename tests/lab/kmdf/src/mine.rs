//! Values that each thread has of its own, found by one read of its thread environment block.
//!
//! For this target the standard library asks `TlsGetValue` each time; a call of the driver has some ten such values,
//! which cost more than what it calls.

use crate::stop::lab_failed;
use std::{arch::asm, sync::OnceLock};
use windows_sys::Win32::System::Threading::{
    TLS_OUT_OF_INDEXES, TlsAlloc, TlsGetValue, TlsSetValue,
};

/// How many indexes have their slot in the thread environment block itself (`TlsSlots`, "TEB structure", `winternl.h`).
const SLOTS: u32 = 64;
/// Where these slots begin there on x64.
const FIRST: usize = 0x1480;

/// A value of each thread. It is made when the thread first asks, and never freed: threads are few.
pub struct Mine<T> {
    index: OnceLock<u32>,
    make: fn() -> T,
}

impl<T> Mine<T> {
    /// What `make` makes, for each thread.
    pub const fn new(make: fn() -> T) -> Self {
        Self {
            index: OnceLock::new(),
            make,
        }
    }

    /// The current thread's.
    #[inline]
    pub fn get(&'static self) -> &'static T {
        let index = *self.index.get_or_init(allocate);
        let place = read(index) as *const T;
        if place.is_null() {
            return self.begin(index);
        }
        // SAFETY: only `begin` writes the slot, a leaked box of this type.
        unsafe { &*place }
    }

    #[cold]
    fn begin(&self, index: u32) -> &'static T {
        let value: &'static T = Box::leak(Box::new((self.make)()));
        // SAFETY: the index is allocated, for values of this type alone.
        if unsafe { TlsSetValue(index, std::ptr::from_ref(value).cast()) } == 0 {
            lab_failed!("TlsSetValue of {index}");
        }
        value
    }
}

fn allocate() -> u32 {
    // SAFETY: asks for nothing.
    let index = unsafe { TlsAlloc() };
    if index == TLS_OUT_OF_INDEXES {
        lab_failed!("no thread local storage is left");
    }
    index
}

#[inline]
fn read(index: u32) -> usize {
    if index >= SLOTS {
        // SAFETY: the index is allocated.
        return unsafe { TlsGetValue(index) } as usize;
    }
    let offset = FIRST + size_of::<usize>() * index as usize;
    let value;
    // SAFETY: in user mode GS is the thread environment block, which has this slot.
    unsafe {
        asm!("mov {}, gs:[{}]", out(reg) value, in(reg) offset, options(nostack, pure, readonly, preserves_flags));
    }
    value
}
