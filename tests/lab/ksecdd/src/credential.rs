//! A credential: what the driver asked for, checked field by field, and what came of it
//! (`SCH_CREDENTIALS`, MicrosoftDocs/sdk-api; microsoft/msquic, `tls_schannel.c`).

use crate::{
    machine::{Machine, Wanted},
    memory::{Place, Watch, get},
    rules::{BAD_CREDENTIAL, CREDENTIAL_FREED_IN_USE, Checked, INPUT_CHANGED, broken, check},
    tls::config::{self, Versions},
};
use rustls::ClientConfig;
use std::{
    ffi::c_void,
    sync::{Arc, Mutex, PoisonError},
};
use windows_sys::Win32::{
    Foundation::{SEC_E_INTERNAL_ERROR, SEC_E_NO_CREDENTIALS},
    Security::Authentication::Identity::{
        CRYPTO_SETTINGS, SCH_CRED_FORMAT_CERT_HASH_STORE, SCH_CRED_MANUAL_CRED_VALIDATION,
        SCH_CRED_NO_SYSTEM_MAPPER, SCH_CREDENTIALS, SCH_CREDENTIALS_VERSION, SCH_MACHINE_CERT_HASH,
        SCH_USE_STRONG_CRYPTO, SCHANNEL_CERT_HASH_STORE, SECPKG_CRED_INBOUND, SECPKG_CRED_OUTBOUND,
        SP_PROT_TLS1_2_CLIENT, SP_PROT_TLS1_2_SERVER, SP_PROT_TLS1_3_CLIENT, SP_PROT_TLS1_3_SERVER,
        TLS_PARAMETERS,
    },
};

// Layouts for x64 as the Windows SDK's headers give them.
const _: () = assert!(size_of::<SCH_CREDENTIALS>() == 72);
const _: () = assert!(size_of::<SCHANNEL_CERT_HASH_STORE>() == 296);
const _: () = assert!(size_of::<TLS_PARAMETERS>() == 40);
const _: () = assert!(size_of::<CRYPTO_SETTINGS>() == 48);

/// A credential.
pub struct Credential {
    /// Its number.
    pub id: usize,
    /// The token it was acquired under.
    pub token: u64,
    /// What it is good for.
    pub role: Role,
    users: Mutex<Users>,
}

#[derive(Debug, Default)]
struct Users {
    count: usize,
    freeing: bool,
}

/// What a credential is good for.
pub enum Role {
    /// Accepting.
    Server(config::Server),
    /// Initiating.
    Client(ClientConfig),
}

/// A security context, or a leg that may make one, that needs a credential alive.
pub struct CredentialUse(pub Arc<Credential>);

impl Credential {
    /// A new credential.
    pub fn new(id: usize, token: u64, role: Role) -> Self {
        Self {
            id,
            token,
            role,
            users: Mutex::default(),
        }
    }

    /// Uses it, unless it is being freed.
    pub fn begin(self: Arc<Self>) -> Option<CredentialUse> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.freeing {
            return None;
        }
        users.count += 1;
        drop(users);
        Some(CredentialUse(self))
    }

    /// Begins to free it: nobody may use it any more, and nobody can from now on.
    pub fn begin_freeing(&self) -> Checked<()> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        check(
            users.count == 0 && !users.freeing,
            CREDENTIAL_FREED_IN_USE,
            || format!("{users:?} of security contexts and calls"),
        )?;
        users.freeing = true;
        Ok(())
    }

    /// It was not freed after all.
    pub fn keep(&self) {
        self.users
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .freeing = false;
    }
}

impl Drop for CredentialUse {
    fn drop(&mut self) {
        self.0
            .users
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .count -= 1;
    }
}

/// What the driver asked for.
#[derive(Debug)]
pub struct Asked {
    server: bool,
    versions: Versions,
    manual_validation: bool,
    wanted: Option<Wanted>,
}

impl Asked {
    /// Reads and checks what `SspiAcquireCredentialsHandleAsyncW` was given, and watches it.
    ///
    /// # Safety
    ///
    /// `auth_data` is an `SCH_CREDENTIALS` whose pointers are good.
    pub unsafe fn read(
        machine: &dyn Machine,
        credential_use: u32,
        auth_data: *const c_void,
        watch: &mut Watch,
    ) -> Checked<Self> {
        let server = match credential_use {
            SECPKG_CRED_INBOUND => true,
            SECPKG_CRED_OUTBOUND => false,
            other => return broken(BAD_CREDENTIAL, format!("fCredentialUse {other}")),
        };
        // SAFETY: as this function's caller asserts.
        let given = unsafe { get(machine, "pAuthData", auth_data.cast::<SCH_CREDENTIALS>()) }?;
        let place = Place::of(machine, "pAuthData", auth_data.cast::<SCH_CREDENTIALS>())?;
        // SAFETY: it has just been read; the caller's call is under way.
        unsafe { watch.add(place, INPUT_CHANGED, false) };
        let fields = [
            ("dwVersion", given.dwVersion == SCH_CREDENTIALS_VERSION),
            ("hRootStore", given.hRootStore.is_null()),
            (
                "cMappers",
                given.cMappers == 0 && given.aphMappers.is_null(),
            ),
            (
                "dwFlags without SCH_USE_STRONG_CRYPTO",
                given.dwFlags & SCH_USE_STRONG_CRYPTO != 0,
            ),
            (
                "dwFlags of a server without SCH_CRED_NO_SYSTEM_MAPPER",
                !server || given.dwFlags & SCH_CRED_NO_SYSTEM_MAPPER != 0,
            ),
            ("cTlsParameters", given.cTlsParameters <= 1),
            (
                "pTlsParameters",
                (given.cTlsParameters == 0) == given.pTlsParameters.is_null(),
            ),
            // One certificate, by hash and store: CERT_CONTEXT and files are not for kernel mode.
            (
                "cCreds",
                if server {
                    given.cCreds == 1
                } else {
                    given.cCreds <= 1
                },
            ),
            ("paCred", (given.cCreds == 0) == given.paCred.is_null()),
            (
                "dwCredFormat",
                given.cCreds == 0 || given.dwCredFormat == SCH_CRED_FORMAT_CERT_HASH_STORE,
            ),
        ];
        for (field, right) in fields {
            check(right, BAD_CREDENTIAL, || field.to_owned())?;
        }
        let wanted = if given.cCreds == 1 {
            // SAFETY: as this function's caller asserts.
            Some(unsafe { read_wanted(machine, given.paCred.cast(), watch) }?)
        } else {
            None
        };
        let versions = if given.cTlsParameters == 1 {
            // SAFETY: as this function's caller asserts.
            unsafe { read_versions(machine, server, given.pTlsParameters, watch) }?
        } else {
            Versions {
                tls12: true,
                tls13: true,
            }
        };
        let manual_validation = given.dwFlags & SCH_CRED_MANUAL_CRED_VALIDATION != 0;
        Ok(Self {
            server,
            versions,
            manual_validation,
            wanted,
        })
    }

    /// Does what the security subsystem does: finds certificate and key.
    pub fn acquire(self, machine: &dyn Machine) -> Result<Role, i32> {
        let identity = match &self.wanted {
            None => None,
            Some(wanted) => Some(machine.identity(wanted).ok_or(SEC_E_NO_CREDENTIALS)?),
        };
        let config = match (self.server, identity) {
            (true, Some(identity)) => config::server(self.versions, identity).map(Role::Server),
            (true, None) => return Err(SEC_E_NO_CREDENTIALS),
            (false, identity) => {
                let roots = (!self.manual_validation).then(|| machine.roots());
                config::client(self.versions, identity, roots).map(Role::Client)
            }
        };
        config.map_err(|_| SEC_E_INTERNAL_ERROR)
    }
}

/// # Safety
///
/// A pointer to accessible memory is one to a `SCHANNEL_CERT_HASH_STORE`.
unsafe fn read_wanted(
    machine: &dyn Machine,
    pointer: *const SCHANNEL_CERT_HASH_STORE,
    watch: &mut Watch,
) -> Checked<Wanted> {
    // SAFETY: as this function's caller asserts.
    let hash = unsafe { get(machine, "paCred", pointer) }?;
    // SAFETY: it has just been read; the caller's call is under way.
    unsafe { watch.add(Place::of(machine, "paCred", pointer)?, INPUT_CHANGED, false) };
    let length = hash.pwszStoreName.iter().position(|&unit| unit == 0);
    let fields = [
        (
            "SCHANNEL_CERT_HASH_STORE.dwLength",
            hash.dwLength as usize == size_of_val(&hash),
        ),
        (
            "SCHANNEL_CERT_HASH_STORE.dwFlags",
            hash.dwFlags & !SCH_MACHINE_CERT_HASH == 0,
        ),
        ("SCHANNEL_CERT_HASH_STORE.hProv", hash.hProv == 0),
        (
            "SCHANNEL_CERT_HASH_STORE.pwszStoreName",
            length.is_some_and(|length| length > 0),
        ),
    ];
    for (field, right) in fields {
        check(right, BAD_CREDENTIAL, || field.to_owned())?;
    }
    Ok(Wanted {
        thumbprint: hash.ShaHash,
        store: String::from_utf16_lossy(&hash.pwszStoreName[..length.unwrap_or_default()]),
        of_machine: hash.dwFlags & SCH_MACHINE_CERT_HASH != 0,
    })
}

/// # Safety
///
/// A pointer to accessible memory is one to a `TLS_PARAMETERS`.
unsafe fn read_versions(
    machine: &dyn Machine,
    server: bool,
    pointer: *const TLS_PARAMETERS,
    watch: &mut Watch,
) -> Checked<Versions> {
    // SAFETY: as this function's caller asserts.
    let parameters = unsafe { get(machine, "pTlsParameters", pointer) }?;
    // SAFETY: it has just been read; the caller's call is under way.
    unsafe {
        watch.add(
            Place::of(machine, "pTlsParameters", pointer)?,
            INPUT_CHANGED,
            false,
        );
    }
    // grbitDisabledProtocols denies.
    let allowed = !parameters.grbitDisabledProtocols;
    let versions = if server {
        Versions {
            tls12: allowed & SP_PROT_TLS1_2_SERVER != 0,
            tls13: allowed & SP_PROT_TLS1_3_SERVER != 0,
        }
    } else {
        Versions {
            tls12: allowed & SP_PROT_TLS1_2_CLIENT != 0,
            tls13: allowed & SP_PROT_TLS1_3_CLIENT != 0,
        }
    };
    let fields = [
        (
            "TLS_PARAMETERS.cAlpnIds",
            parameters.cAlpnIds == 0 && parameters.rgstrAlpnIds.is_null(),
        ),
        (
            "TLS_PARAMETERS.cDisabledCrypto",
            parameters.cDisabledCrypto == 0 && parameters.pDisabledCrypto.is_null(),
        ),
        ("TLS_PARAMETERS.dwFlags", parameters.dwFlags == 0),
        (
            "TLS_PARAMETERS.grbitDisabledProtocols leaves none",
            versions.tls12 || versions.tls13,
        ),
    ];
    for (field, right) in fields {
        check(right, BAD_CREDENTIAL, || field.to_owned())?;
    }
    Ok(versions)
}
