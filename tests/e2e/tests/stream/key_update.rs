//! OpenSSL's `KeyUpdate`, which the openssl crate does not have.

use anyhow::{Result, ensure};
use foreign_types::ForeignTypeRef;
use openssl::ssl::SslRef;
use std::ffi::c_int;

/// `request_update` of a `KeyUpdate` (RFC 8446, section 4.6.3), as OpenSSL numbers it.
#[derive(Clone, Copy, Debug)]
pub enum KeyUpdate {
    NotRequested = 0,
    Requested = 1,
}

unsafe extern "C" {
    /// A `KeyUpdate` precedes the next write.
    fn SSL_key_update(ssl: *mut openssl_sys::SSL, kind: c_int) -> c_int;
}

/// Has the next write begin with a `KeyUpdate`.
pub fn update_keys(ssl: &SslRef, kind: KeyUpdate) -> Result<()> {
    // SAFETY: the pointer is of a live connection that no other thread has.
    let done = unsafe { SSL_key_update(ssl.as_ptr(), kind as c_int) };
    ensure!(done == 1, "OpenSSL refuses to update keys");
    Ok(())
}
