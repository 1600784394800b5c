//! The peer's certificates, in memory that Schannel allocated and that is freed exactly once.

use super::{
    query,
    schannel::{Certificates, SECPKG_ATTR_REMOTE_CERTIFICATES},
};
use core::{ffi::c_void, ptr::NonNull};
use tlsgate_protocol::SecurityStatus;
use wdk_sys::{SecHandle, ntddk::FreeContextBuffer};

/// The peer's certificates as Schannel told them; nothing about them has been checked. To be dropped
/// at PASSIVE_LEVEL.
pub struct RemoteCertificates {
    /// How many there are, it says.
    pub count: u32,
    list: NonNull<u8>,
    length: usize,
}

impl RemoteCertificates {
    /// Asks for them. `None` when the peer has shown none. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// What `QueryContextAttributesW` says, but the two statuses that mean none: documented is
    /// `SEC_E_NO_CREDENTIALS`, and msquic met `SEC_E_INTERNAL_ERROR` (its pull request 5739).
    ///
    /// # Safety
    ///
    /// A use right of `context` is held.
    pub unsafe fn of(context: &SecHandle) -> Result<Option<Self>, SecurityStatus> {
        let mut found = Certificates {
            count: 0,
            length: 0,
            list: core::ptr::null_mut(),
        };
        // SAFETY: the structure is the attribute's; the right is held (this function's contract).
        match unsafe { query(context, SECPKG_ATTR_REMOTE_CERTIFICATES, &mut found) } {
            Ok(()) => Ok(NonNull::new(found.list).map(|list| Self {
                count: found.count,
                list,
                length: found.length as usize,
            })),
            Err(SecurityStatus::SEC_E_NO_CREDENTIALS | SecurityStatus::SEC_E_INTERNAL_ERROR) => {
                Ok(None)
            }
            Err(status) => Err(status),
        }
    }

    /// The bytes of the list.
    pub fn list(&self) -> &[u8] {
        // SAFETY: Schannel's allocation of so many bytes, alive until `self` is dropped. That nobody
        // writes to it is *assumed*, as msquic does, which reads it in place.
        unsafe { core::slice::from_raw_parts(self.list.as_ptr(), self.length) }
    }
}

impl Drop for RemoteCertificates {
    fn drop(&mut self) {
        let buffer = self.list.as_ptr().cast::<c_void>();
        // SAFETY: allocated by Schannel for `of`, and freed here only. A refusal leaves nothing to do.
        let _status = unsafe { FreeContextBuffer(buffer) };
    }
}
