//! The structures behind a server credential: they refer to each other and to the caller's words,
//! so they are pinned with the credential for as long as it is acquired.

use super::schannel::{
    CertificateHashStore, PACKAGE, SCH_CRED_FORMAT_CERT_HASH_STORE, SCH_CRED_NO_SYSTEM_MAPPER,
    SCH_CREDENTIALS_VERSION, SCH_MACHINE_CERT_HASH, SCH_USE_STRONG_CRYPTO, SP_PROT_TLS1_2_SERVER,
    SP_PROT_TLS1_3_SERVER, SchCredentials, TlsParameters,
};
use crate::kmdf::{control_device::unicode_string, size, utf16};
use core::{ffi::c_void, ptr};
use tlsgate_protocol::{
    Acquire,
    payload::{protocols, store_scope},
};
use wdk_sys::UNICODE_STRING;

/// "MY", the store a thumbprint means when none is named.
static DEFAULT_STORE: [u16; 2] = utf16("MY");

/// What `SspiAcquireCredentialsHandleAsyncW` gets.
pub struct Authentication {
    certificate: CertificateHashStore,
    parameters: TlsParameters,
    credentials: SchCredentials,
    package: UNICODE_STRING,
    principal: UNICODE_STRING,
}

// SAFETY: the pointers are to fields of the same value, and to a constant.
unsafe impl Send for Authentication {}
// SAFETY: as above.
unsafe impl Sync for Authentication {}

/// The addresses of one value's parts.
pub struct Arguments {
    /// `pAuthData`.
    pub credentials: *mut c_void,
    /// `pszPackage`.
    pub package: *mut UNICODE_STRING,
    /// `pszPrincipal`: an empty string, as msquic passes it for a server.
    pub principal: *mut UNICODE_STRING,
}

impl Authentication {
    /// The structures for a request; not yet tied together.
    pub fn new(acquire: &Acquire) -> Self {
        let named = acquire.certificate.store_name().unwrap_or_default();
        let name = if named.is_empty() {
            &DEFAULT_STORE
        } else {
            named
        };
        let mut store_name = [0; 128];
        // The zip stops before the terminator: a name has at most 127 units.
        for (place, unit) in store_name.iter_mut().zip(name) {
            *place = *unit;
        }
        let machine = acquire.certificate.store_scope == store_scope::MACHINE;
        Self {
            certificate: CertificateHashStore {
                length: size::<CertificateHashStore>(),
                flags: if machine { SCH_MACHINE_CERT_HASH } else { 0 },
                provider: 0,
                thumbprint: acquire.certificate.thumbprint,
                store_name,
            },
            parameters: TlsParameters {
                alpn_id_count: 0,
                alpn_ids: ptr::null_mut(),
                disabled_protocols: !allowed(acquire.protocols),
                disabled_crypto_count: 0,
                disabled_crypto: ptr::null_mut(),
                flags: 0,
            },
            credentials: SchCredentials {
                version: SCH_CREDENTIALS_VERSION,
                format: SCH_CRED_FORMAT_CERT_HASH_STORE,
                certificate_count: 1,
                certificates: ptr::null_mut(),
                root_store: ptr::null_mut(),
                mapper_count: 0,
                mappers: ptr::null_mut(),
                session_lifespan: 0,
                flags: SCH_USE_STRONG_CRYPTO | SCH_CRED_NO_SYSTEM_MAPPER,
                tls_parameters_count: 1,
                tls_parameters: ptr::null_mut(),
            },
            package: unicode_string(&[]),
            principal: unicode_string(&[]),
        }
    }

    /// Ties the structures together where they lie now, and gives their addresses.
    ///
    /// # Safety
    ///
    /// `this` points at a value that neither moves nor ends while a call uses the addresses.
    pub unsafe fn arguments(this: *mut Self) -> Arguments {
        // SAFETY: the value is alive and the caller's (this function's contract).
        let value = unsafe { &mut *this };
        value.credentials.certificates = (&raw mut value.certificate).cast();
        value.credentials.tls_parameters = &raw mut value.parameters;
        value.package = unicode_string(&PACKAGE);
        Arguments {
            credentials: (&raw mut value.credentials).cast(),
            package: &raw mut value.package,
            principal: &raw mut value.principal,
        }
    }
}

/// The `SP_PROT_*` mask of what the request allows.
const fn allowed(wanted: u32) -> u32 {
    let mut mask = 0;
    if wanted & protocols::TLS1_2 != 0 {
        mask |= SP_PROT_TLS1_2_SERVER;
    }
    if wanted & protocols::TLS1_3 != 0 {
        mask |= SP_PROT_TLS1_3_SERVER;
    }
    mask
}
