//! Pointers that come from the driver, wrapped where they enter.
//!
//! The driver is not trusted to be right, only to be a driver: a wild pointer is an access
//! violation, thus a STOP, just as it is a bug check on Windows. A NULL where the documents ask for
//! a pointer is a STOP of its own.

use crate::stop::{lab_failed, stop};
use std::{ffi::OsString, os::windows::ffi::OsStringExt};

/// `const T *` of the driver.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct In<T>(*const T);

impl<T: Copy> In<T> {
    /// A pointer to what the stand-in has itself.
    pub const fn of(value: &T) -> Self {
        Self(value)
    }

    /// The value at `address`.
    pub const fn at(address: usize) -> Self {
        Self(address as *const T)
    }

    /// What it points to; `None` for NULL.
    pub fn get(self) -> Option<T> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: see the module: the driver vouches for a pointer that is not NULL.
        Some(unsafe { self.0.read_unaligned() })
    }

    /// What it points to, where NULL is not allowed.
    pub fn need(self, what: &str) -> T {
        self.get()
            .unwrap_or_else(|| stop!("null-pointer", "{what} is NULL"))
    }
}

/// `T *` of the driver, to be written or updated.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T: Copy> Out<T> {
    /// The slot at `address`.
    pub const fn at(address: usize) -> Self {
        Self(address as *mut T)
    }

    /// Writes `value`, where NULL is not allowed.
    pub fn set(self, value: T) {
        if !self.set_if_wanted(value) {
            stop!("null-pointer", "no place for a result");
        }
    }

    /// Writes `value` unless the pointer is NULL, which says that the driver doesn't want it.
    pub fn set_if_wanted(self, value: T) -> bool {
        if self.0.is_null() {
            return false;
        }
        // SAFETY: see the module: the driver vouches for a pointer that is not NULL.
        unsafe { self.0.write_unaligned(value) };
        true
    }

    /// What it points to; `None` for NULL.
    pub fn get(self) -> Option<T> {
        In(self.0.cast_const()).get()
    }

    /// The address.
    pub fn address(self) -> usize {
        self.0 as usize
    }
}

/// `UNICODE_STRING`
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct UnicodeString {
    /// Bytes in use.
    pub length: u16,
    /// Bytes of room.
    pub maximum_length: u16,
    /// The address of the UTF-16 units.
    pub buffer: usize,
}

const _: () = assert!(size_of::<UnicodeString>() == 16);

impl UnicodeString {
    /// The string for the UTF-16 units, which must live as long as it does.
    pub fn of(units: &[u16]) -> Self {
        let Ok(length) = u16::try_from(size_of_val(units)) else {
            lab_failed!("a string of {} UTF-16 units", units.len());
        };
        Self {
            length,
            maximum_length: length,
            buffer: units.as_ptr() as usize,
        }
    }

    /// The text.
    pub fn text(self) -> String {
        OsString::from_wide(&self.units())
            .to_string_lossy()
            .into_owned()
    }

    /// The UTF-16 units.
    pub fn units(self) -> Vec<u16> {
        (0..usize::from(self.length) / 2)
            .map(|index| Out::<u16>::at(self.buffer + 2 * index))
            .map(|unit| {
                unit.get()
                    .unwrap_or_else(|| stop!("null-pointer", "string without buffer"))
            })
            .collect()
    }
}
