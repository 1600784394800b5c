//! The service's Parameters key: what an administrator may set.
//!
//! Values are read with `WdfRegistryQueryValue`, which tells type and length. The framework's functions for
//! one type do less: its published source (`fxregkeykm.cpp`, `fxregistryapi.cpp`) copies four bytes of a
//! `REG_DWORD` of fewer, and looks in front of the buffer of an empty `REG_SZ`.

use super::{call::wdf, control_device::unicode_string, object::plain_attributes};
use crate::nt;
use core::ptr;
use tlsgate_protocol::NtStatus;
use wdk_sys::{
    KEY_READ, PVOID, REG_DWORD, REG_SZ, STATUS_BUFFER_OVERFLOW, STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_OBJECT_TYPE_MISMATCH, ULONG, WDFDRIVER, WDFKEY,
};

/// The key, open for reading. Closed when dropped. IRQL of everything here: PASSIVE_LEVEL.
pub struct Key(WDFKEY);

/// How a value lies in the registry.
struct Found {
    kind: ULONG,
    /// In bytes; more than there was room for if the value did not fit.
    length: usize,
    fits: bool,
}

impl Key {
    /// The Parameters key of the driver's service. `None` when it does not exist, should the framework not
    /// make it then.
    ///
    /// # Errors
    ///
    /// What the framework says.
    ///
    /// # Safety
    ///
    /// `driver` is this driver's framework object.
    pub unsafe fn parameters(driver: WDFDRIVER) -> Result<Option<Self>, NtStatus> {
        let mut attributes = plain_attributes();
        let mut key: WDFKEY = ptr::null_mut();
        // SAFETY: the driver is this function's contract; the rest is ours and kept across the call.
        let status = nt::check(unsafe {
            wdf!(PFN_WDFDRIVEROPENPARAMETERSREGISTRYKEY
                [WdfDriverOpenParametersRegistryKeyTableIndex](
                driver,
                KEY_READ,
                &raw mut attributes,
                &raw mut key,
            ))
        });
        present(status.map(|()| Self(key)))
    }

    /// A `REG_DWORD`. `None` when there is no value of that name.
    ///
    /// # Errors
    ///
    /// `STATUS_OBJECT_TYPE_MISMATCH` for a value of another type or size; what the framework says.
    pub fn number(&self, name: &[u16]) -> Result<Option<u32>, NtStatus> {
        let mut number: u32 = 0;
        let room = ptr::from_mut(&mut number).cast();
        // SAFETY: the room is a number's, and any bytes are one.
        let found = unsafe { self.query(name, room, size_of::<u32>()) }?;
        match found {
            None => Ok(None),
            Some(found) if found.fits && found.kind == REG_DWORD && found.length == 4 => {
                Ok(Some(number))
            }
            Some(_) => Err(NtStatus(STATUS_OBJECT_TYPE_MISMATCH)),
        }
    }

    /// A `REG_SZ` without its final zero, in `room`, which must have place for that zero, too. `None` when
    /// there is no value of that name.
    ///
    /// # Errors
    ///
    /// `STATUS_OBJECT_TYPE_MISMATCH` for a value of another type, or of half a character;
    /// `STATUS_BUFFER_OVERFLOW` when there is not enough room; what the framework says.
    pub fn text<'a>(
        &self,
        name: &[u16],
        room: &'a mut [u16],
    ) -> Result<Option<&'a [u16]>, NtStatus> {
        let bytes = size_of_val(room);
        // SAFETY: the room is of that many bytes, and any bytes are UTF-16 units.
        let found = unsafe { self.query(name, room.as_mut_ptr().cast(), bytes) }?;
        let Some(found) = found else { return Ok(None) };
        if found.kind != REG_SZ || !found.length.is_multiple_of(2) {
            return Err(NtStatus(STATUS_OBJECT_TYPE_MISMATCH));
        }
        let text = room.get(..found.length / 2).filter(|_| found.fits);
        let text = text.ok_or(NtStatus(STATUS_BUFFER_OVERFLOW))?;
        Ok(Some(text.strip_suffix(&[0]).unwrap_or(text)))
    }

    /// Reads a value into `room`, if it fits. `None` when there is none of that name.
    ///
    /// # Safety
    ///
    /// `room` has place for `length` bytes, whatever they are.
    unsafe fn query(
        &self,
        name: &[u16],
        room: PVOID,
        length: usize,
    ) -> Result<Option<Found>, NtStatus> {
        let name = unicode_string(name);
        let (mut kind, mut queried) = (0, 0);
        // SAFETY: the key is open; the name and both places live across the call; the room is this
        // function's contract.
        let status = nt::check(unsafe {
            wdf!(PFN_WDFREGISTRYQUERYVALUE[WdfRegistryQueryValueTableIndex](
                self.0,
                &raw const name,
                ULONG::try_from(length).unwrap_or(ULONG::MAX),
                room,
                &raw mut queried,
                &raw mut kind,
            ))
        });
        let fits = match status {
            Err(NtStatus(STATUS_BUFFER_OVERFLOW)) => Ok(false),
            other => other.map(|()| true),
        };
        present(fits.map(|fits| Found {
            kind,
            length: queried as usize,
            fits,
        }))
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: open, and closed once.
        unsafe { wdf!(PFN_WDFREGISTRYCLOSE[WdfRegistryCloseTableIndex](self.0)) };
    }
}

/// What is not there is no error.
fn present<T>(result: Result<T, NtStatus>) -> Result<Option<T>, NtStatus> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(NtStatus(STATUS_OBJECT_NAME_NOT_FOUND)) => Ok(None),
        Err(status) => Err(status),
    }
}
