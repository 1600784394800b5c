//! The structures behind a credential: they refer to each other and to the caller's words, so they
//! are pinned with the credential for as long as it is acquired.

use super::schannel::{
    CertificateHashStore, PACKAGE, SCH_CRED_AUTO_CRED_VALIDATION, SCH_CRED_DISABLE_RECONNECTS,
    SCH_CRED_FORMAT_CERT_HASH_STORE, SCH_CRED_IGNORE_NO_REVOCATION_CHECK,
    SCH_CRED_IGNORE_REVOCATION_OFFLINE, SCH_CRED_MANUAL_CRED_VALIDATION, SCH_CRED_NO_DEFAULT_CREDS,
    SCH_CRED_NO_SYSTEM_MAPPER, SCH_CRED_REVOCATION_CHECK_CHAIN,
    SCH_CRED_REVOCATION_CHECK_CHAIN_EXCLUDE_ROOT, SCH_CRED_REVOCATION_CHECK_END_CERT,
    SCH_CRED_SNI_CREDENTIAL, SCH_CREDENTIALS_VERSION, SCH_MACHINE_CERT_HASH, SCH_USE_STRONG_CRYPTO,
    SP_PROT_TLS1_2_CLIENT, SP_PROT_TLS1_2_SERVER, SP_PROT_TLS1_3_CLIENT, SP_PROT_TLS1_3_SERVER,
    SchCredentials, TlsParameters,
};
use crate::{
    kmdf::{control_device::unicode_string, size, utf16},
    memory::{try_list, try_widen},
};
use alloc::vec::Vec;
use core::{ffi::c_void, ptr};
use tlsgate_core::room;
use tlsgate_protocol::{
    Acquire, Role,
    payload::{CertificateReference, credential as flag, protocols, store_scope},
};
use wdk_sys::{SECPKG_CRED_INBOUND, SECPKG_CRED_OUTBOUND, UNICODE_STRING};

/// "MY", the store a thumbprint means when none is named.
static DEFAULT_STORE: [u16; 2] = utf16("MY");

/// A session's life that is over at once, in milliseconds; 0 would be Schannel's default.
const SHORTEST_LIFESPAN: u32 = 1;

/// What `SspiAcquireCredentialsHandleAsyncW` gets.
pub struct Authentication {
    role: Role,
    certificates: Vec<CertificateHashStore>,
    parameters: TlsParameters,
    credentials: SchCredentials,
    package: UNICODE_STRING,
    name: Vec<u16>,
    principal: UNICODE_STRING,
}

// SAFETY: the pointers are to fields of the same value, to its heap memory, and to a constant.
unsafe impl Send for Authentication {}
// SAFETY: as above.
unsafe impl Sync for Authentication {}

/// The addresses of one value's parts, and whose side it is for.
pub struct Arguments {
    /// `fCredentialUse`.
    pub credential_use: u32,
    /// `pAuthData`.
    pub credentials: *mut c_void,
    /// `pszPackage`.
    pub package: *mut UNICODE_STRING,
    /// `pszPrincipal`: for a server an empty string unless it has a name, for a client null, as
    /// msquic passes it.
    pub principal: *mut UNICODE_STRING,
}

impl Authentication {
    /// The structures for a request; not yet tied together. IRQL: up to DISPATCH_LEVEL. `None` when
    /// there is no memory.
    pub fn new(acquire: &Acquire<'_>) -> Option<Self> {
        let mut certificates = try_list(acquire.certificates.len())?;
        for reference in acquire.certificates.iter() {
            room::push(&mut certificates, certificate(&reference)).ok()?;
        }
        let is_client_without_resumption =
            acquire.role == Role::Client && acquire.flags & flag::NO_RESUMPTION != 0;
        Some(Self {
            role: acquire.role,
            parameters: TlsParameters {
                alpn_id_count: 0,
                alpn_ids: ptr::null_mut(),
                disabled_protocols: !allowed(acquire.role, acquire.protocols),
                disabled_crypto_count: 0,
                disabled_crypto: ptr::null_mut(),
                flags: 0,
            },
            credentials: SchCredentials {
                version: SCH_CREDENTIALS_VERSION,
                // The format of none is CERT_CONTEXT, 0: as msquic passes it.
                format: if certificates.is_empty() {
                    0
                } else {
                    SCH_CRED_FORMAT_CERT_HASH_STORE
                },
                certificate_count: u32::try_from(certificates.len()).ok()?,
                certificates: ptr::null_mut(),
                root_store: ptr::null_mut(),
                mapper_count: 0,
                mappers: ptr::null_mut(),
                // DISABLE_RECONNECTS is documented for servers only.
                session_lifespan: if is_client_without_resumption {
                    SHORTEST_LIFESPAN
                } else {
                    0
                },
                flags: flags(acquire),
                tls_parameters_count: 1,
                tls_parameters: ptr::null_mut(),
            },
            certificates,
            package: unicode_string(&[]),
            name: try_widen(acquire.principal)?,
            principal: unicode_string(&[]),
        })
    }

    /// Ties the structures together where they lie now, and gives their addresses.
    ///
    /// # Safety
    ///
    /// `this` points at a value that neither moves nor ends while a call uses the addresses.
    pub unsafe fn arguments(this: *mut Self) -> Arguments {
        // SAFETY: the value is alive and the caller's (this function's contract).
        let value = unsafe { &mut *this };
        value.credentials.certificates = if value.certificates.is_empty() {
            ptr::null_mut()
        } else {
            value.certificates.as_mut_ptr().cast()
        };
        value.credentials.tls_parameters = &raw mut value.parameters;
        value.package = unicode_string(&PACKAGE);
        value.principal = unicode_string(&value.name);
        let (credential_use, principal) = match value.role {
            Role::Server => (SECPKG_CRED_INBOUND, &raw mut value.principal),
            Role::Client => (SECPKG_CRED_OUTBOUND, ptr::null_mut()),
        };
        Arguments {
            credential_use,
            credentials: (&raw mut value.credentials).cast(),
            package: &raw mut value.package,
            principal,
        }
    }
}

fn certificate(reference: &CertificateReference) -> CertificateHashStore {
    let named = reference.store_name().unwrap_or_default();
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
    let is_machine = reference.store_scope == store_scope::MACHINE;
    CertificateHashStore {
        length: size::<CertificateHashStore>(),
        flags: if is_machine { SCH_MACHINE_CERT_HASH } else { 0 },
        provider: 0,
        thumbprint: reference.thumbprint,
        store_name,
    }
}

/// What each flag of a request means to Schannel.
const FLAGS: [(u32, u32); 6] = [
    (flag::MANUAL_CHECK, SCH_CRED_MANUAL_CRED_VALIDATION),
    (flag::REVOCATION_END, SCH_CRED_REVOCATION_CHECK_END_CERT),
    (flag::REVOCATION_CHAIN, SCH_CRED_REVOCATION_CHECK_CHAIN),
    (
        flag::REVOCATION_CHAIN_EXCEPT_ROOT,
        SCH_CRED_REVOCATION_CHECK_CHAIN_EXCLUDE_ROOT,
    ),
    (
        flag::IGNORE_NO_REVOCATION,
        SCH_CRED_IGNORE_NO_REVOCATION_CHECK,
    ),
    (
        flag::IGNORE_REVOCATION_OFFLINE,
        SCH_CRED_IGNORE_REVOCATION_OFFLINE,
    ),
];

/// `SCH_CREDENTIALS::dwFlags`, chosen as msquic does. A client's Schannel checks chain and name unless
/// the request says otherwise.
fn flags(acquire: &Acquire<'_>) -> u32 {
    let asked = FLAGS
        .iter()
        .filter(|(wire, _)| acquire.flags & wire != 0)
        .fold(SCH_USE_STRONG_CRYPTO, |flags, (_, native)| flags | native);
    let of_role = match acquire.role {
        Role::Client if acquire.flags & flag::MANUAL_CHECK != 0 => SCH_CRED_NO_DEFAULT_CREDS,
        Role::Client => SCH_CRED_NO_DEFAULT_CREDS | SCH_CRED_AUTO_CRED_VALIDATION,
        Role::Server if acquire.flags & flag::NO_RESUMPTION != 0 => {
            SCH_CRED_NO_SYSTEM_MAPPER | SCH_CRED_DISABLE_RECONNECTS
        }
        Role::Server => SCH_CRED_NO_SYSTEM_MAPPER,
    };
    let of_name = if acquire.principal.is_empty() {
        0
    } else {
        SCH_CRED_SNI_CREDENTIAL
    };
    asked | of_role | of_name
}

/// The `SP_PROT_*` mask of what the request allows.
const fn allowed(role: Role, wanted: u32) -> u32 {
    let (tls1_2, tls1_3) = match role {
        Role::Server => (SP_PROT_TLS1_2_SERVER, SP_PROT_TLS1_3_SERVER),
        Role::Client => (SP_PROT_TLS1_2_CLIENT, SP_PROT_TLS1_3_CLIENT),
    };
    let mut mask = 0;
    if wanted & protocols::TLS1_2 != 0 {
        mask |= tls1_2;
    }
    if wanted & protocols::TLS1_3 != 0 {
        mask |= tls1_3;
    }
    mask
}
