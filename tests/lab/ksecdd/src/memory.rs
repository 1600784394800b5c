//! The caller's memory: read with care, watched while a call has it.

use crate::{
    checks,
    machine::Machine,
    rules::{BAD_POINTER, BUFFER_RELEASED, Checked, NULL_ARGUMENT, broken, check},
};
use std::{
    ffi::c_void,
    hash::{DefaultHasher, Hasher},
    ptr, slice,
};

/// A stretch of the caller's memory. Just a place: what is there may change or go away.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// What the caller calls it.
    what: &'static str,
    address: usize,
    length: usize,
}

impl Place {
    /// Where a `T` is that must be there.
    pub fn of<T>(machine: &dyn Machine, what: &'static str, pointer: *const T) -> Checked<Self> {
        check(pointer.is_aligned(), BAD_POINTER, || {
            format!("{what} at {pointer:p}")
        })?;
        Self::bytes(machine, what, pointer.cast(), size_of::<T>())
    }

    /// Where `length` bytes are that must be there.
    pub fn bytes(
        machine: &dyn Machine,
        what: &'static str,
        pointer: *const c_void,
        length: usize,
    ) -> Checked<Self> {
        check(!pointer.is_null() || length == 0, NULL_ARGUMENT, || {
            what.to_owned()
        })?;
        let place = Self {
            what,
            address: pointer.expose_provenance(),
            length,
        };
        check(place.is_accessible(machine, false), BAD_POINTER, || {
            format!("{what}: {length} bytes at {pointer:p}")
        })?;
        Ok(place)
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// A pointer to the byte at `offset`.
    pub fn pointer(&self, offset: usize) -> *mut c_void {
        ptr::with_exposed_provenance_mut(self.address + offset)
    }

    fn is_accessible(&self, machine: &dyn Machine, writing: bool) -> bool {
        self.length == 0 || machine.is_accessible(self.address, self.length, writing)
    }

    /// The bytes.
    ///
    /// # Safety
    ///
    /// They are there, and nobody writes them while the result lives.
    pub unsafe fn read<'a>(&self) -> &'a [u8] {
        if self.length == 0 {
            return &[];
        }
        let start = ptr::with_exposed_provenance(self.address);
        // SAFETY: as this function's caller asserts.
        unsafe { slice::from_raw_parts(start, self.length) }
    }

    /// The bytes, to be written.
    ///
    /// # Safety
    ///
    /// They are there, and nobody else uses them while the result lives.
    pub unsafe fn write<'a>(&self) -> &'a mut [u8] {
        if self.length == 0 {
            return &mut [];
        }
        let start = ptr::with_exposed_provenance_mut(self.address);
        // SAFETY: as this function's caller asserts.
        unsafe { slice::from_raw_parts_mut(start, self.length) }
    }

    /// Puts a `T` there, which must fit.
    ///
    /// # Safety
    ///
    /// As for [`Place::write`].
    pub unsafe fn put<T: Copy>(&self, value: T) {
        debug_assert!(size_of::<T>() <= self.length);
        let start = ptr::with_exposed_provenance_mut::<T>(self.address);
        // SAFETY: as this function's caller asserts, for memory that was large enough for a `T`.
        unsafe { start.write_unaligned(value) }
    }
}

/// Reads a `T` that must be there.
///
/// # Safety
///
/// If the memory can be accessed there is a `T` in it.
pub unsafe fn get<T: Copy>(
    machine: &dyn Machine,
    what: &'static str,
    pointer: *const T,
) -> Checked<T> {
    // SAFETY: as this function's caller asserts.
    unsafe { get_from(machine, what, pointer) }.map(|(value, _)| value)
}

/// As [`get`], with the place that it was read from.
///
/// # Safety
///
/// As for [`get`].
pub unsafe fn get_from<T: Copy>(
    machine: &dyn Machine,
    what: &'static str,
    pointer: *const T,
) -> Checked<(T, Place)> {
    let place = Place::of(machine, what, pointer)?;
    // SAFETY: it is aligned and accessible, the rest is asserted by this function's caller.
    Ok((unsafe { pointer.read() }, place))
}

/// Memory that must stay as it is from a call to its completion. ("The memory must stay valid
/// until completion": the async functions' parameters; microsoft/msquic keeps all of them in one
/// allocation for that long.)
#[derive(Debug, Default)]
pub struct Watch {
    watched: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    place: Place,
    rule: &'static str,
    writing: bool,
    hash: u64,
}

impl Watch {
    /// Watches one more place; a change of it breaks `rule`. `writing` says that the call's
    /// result goes there.
    ///
    /// # Safety
    ///
    /// The bytes are there, and nobody writes them now.
    pub unsafe fn add(&mut self, place: Place, rule: &'static str, writing: bool) {
        if !checks::COSTLY {
            return;
        }
        // SAFETY: as this function's caller asserts.
        let hash = hash(unsafe { place.read() });
        self.watched.push(Watched {
            place,
            rule,
            writing,
            hash,
        });
    }

    /// Checks that all is as it was.
    ///
    /// # Safety
    ///
    /// Nobody writes the bytes now if they are there.
    pub unsafe fn verify(&self, machine: &dyn Machine) -> Checked<()> {
        for Watched {
            place,
            rule,
            writing,
            hash: before,
        } in &self.watched
        {
            check(
                place.is_accessible(machine, *writing),
                BUFFER_RELEASED,
                || place.what.to_owned(),
            )?;
            // SAFETY: it is accessible; the rest is asserted by this function's caller.
            if hash(unsafe { place.read() }) != *before {
                return broken(rule, place.what);
            }
        }
        Ok(())
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
