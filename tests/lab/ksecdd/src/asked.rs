//! What the driver asked for when it acquires a credential, checked field by field
//! (`SCH_CREDENTIALS`, MicrosoftDocs/sdk-api; microsoft/msquic, `tls_schannel.c`).

use crate::{
    credential::Role,
    credential_flags::Flags,
    machine::{Machine, Wanted},
    memory::{Place, Watch, get},
    rules::{BAD_CREDENTIAL, Checked, INPUT_CHANGED, broken, check},
    tls::{
        config::{self, Settings, Versions},
        judge::hexadecimal,
    },
};
use std::ffi::c_void;
use tlsgate_lab_control::ksecdd::Acquired;
use windows_sys::Win32::{
    Foundation::{SEC_E_INTERNAL_ERROR, SEC_E_NO_CREDENTIALS},
    Security::Authentication::Identity::{
        CRYPTO_SETTINGS, SCH_CRED_FORMAT_CERT_HASH_STORE, SCH_CREDENTIALS, SCH_CREDENTIALS_VERSION,
        SCH_MACHINE_CERT_HASH, SCHANNEL_CERT_HASH_STORE, SECPKG_CRED_INBOUND, SECPKG_CRED_OUTBOUND,
        SP_PROT_TLS1_2_CLIENT, SP_PROT_TLS1_2_SERVER, SP_PROT_TLS1_3_CLIENT, SP_PROT_TLS1_3_SERVER,
        TLS_PARAMETERS,
    },
};

// Layouts for x64 as the Windows SDK's headers give them.
const _: () = assert!(size_of::<SCH_CREDENTIALS>() == 72);
const _: () = assert!(size_of::<SCHANNEL_CERT_HASH_STORE>() == 296);
const _: () = assert!(size_of::<TLS_PARAMETERS>() == 40);
const _: () = assert!(size_of::<CRYPTO_SETTINGS>() == 48);

/// Most certificates of a credential. Schannel has a bound of its own (`SCH_CRED_MAX_SUPPORTED_CERTS`);
/// this is far more than anyone has used.
const MAX_CERTIFICATES: usize = 16;

/// What the driver asked for.
#[derive(Debug)]
pub struct Asked {
    server: bool,
    flags: Flags,
    versions: Versions,
    principal: String,
    wanted: Vec<Wanted>,
    /// For the tests to see.
    pub acquired: Acquired,
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
        principal: String,
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
        let count = given.cCreds as usize;
        let fields = [
            ("dwVersion", given.dwVersion == SCH_CREDENTIALS_VERSION),
            ("hRootStore", given.hRootStore.is_null()),
            (
                "cMappers",
                given.cMappers == 0 && given.aphMappers.is_null(),
            ),
            ("cTlsParameters", given.cTlsParameters <= 1),
            (
                "pTlsParameters",
                (given.cTlsParameters == 0) == given.pTlsParameters.is_null(),
            ),
            ("cCreds", count <= MAX_CERTIFICATES),
            ("paCred", (count == 0) == given.paCred.is_null()),
            // By hash and store: CERT_CONTEXT and files are not for kernel mode.
            (
                "dwCredFormat",
                count == 0 || given.dwCredFormat == SCH_CRED_FORMAT_CERT_HASH_STORE,
            ),
        ];
        for (field, right) in fields {
            check(right, BAD_CREDENTIAL, || field.to_owned())?;
        }
        let flags = Flags::read(given.dwFlags, server, count)?;
        check(
            flags.for_principal() != principal.is_empty(),
            BAD_CREDENTIAL,
            || "pszPrincipal without SCH_CRED_SNI_CREDENTIAL, or this without that".to_owned(),
        )?;
        // That several lie one behind the other, as one lies at paCred, is *assumed*.
        let first = given.paCred.cast::<SCHANNEL_CERT_HASH_STORE>();
        let wanted = (0..count)
            .map(|index| {
                // SAFETY: as this function's caller asserts.
                unsafe { read_wanted(machine, first.wrapping_add(index), watch) }
            })
            .collect::<Checked<Vec<_>>>()?;
        let (versions, disabled_protocols) = if given.cTlsParameters == 1 {
            // SAFETY: as this function's caller asserts.
            unsafe { read_versions(machine, server, given.pTlsParameters, watch) }?
        } else {
            let versions = Versions {
                tls12: true,
                tls13: true,
            };
            (versions, 0)
        };
        let certificates = wanted.iter().map(|it| hexadecimal(&it.thumbprint));
        let acquired = Acquired {
            server,
            flags: given.dwFlags,
            principal: principal.clone(),
            disabled_protocols,
            certificates: certificates.collect(),
            account: machine.account(),
        };
        Ok(Self {
            server,
            flags,
            versions,
            principal,
            wanted,
            acquired,
        })
    }

    /// Does what the security subsystem does for `account`: finds certificates and keys. Whether one
    /// is not there or not to be used by the account, it says the same: no credentials
    /// (`AcquireCredentialsHandle` (Schannel), MicrosoftDocs/win32).
    pub fn acquire(
        self,
        machine: &dyn Machine,
        account: &str,
        machine_flag_applies: bool,
    ) -> Result<Role, i32> {
        if self.server && self.wanted.is_empty() {
            return Err(SEC_E_NO_CREDENTIALS);
        }
        let mut identities = Vec::new();
        for mut wanted in self.wanted {
            wanted.of_machine |= machine_flag_applies && self.flags.machine();
            let key = machine.key(&wanted);
            let key = key.filter(|key| key.is_for(wanted.of_machine, account));
            identities.push(key.ok_or(SEC_E_NO_CREDENTIALS)?.identity);
        }
        let settings = Settings {
            versions: self.versions,
            identities,
            roots: machine.roots(),
            revocation: self.flags.revocation(),
        };
        let role = if self.server {
            let principal = Some(self.principal).filter(|_| self.flags.for_principal());
            config::Server::new(settings, principal, self.flags.resumption()).map(Role::Server)
        } else {
            config::Client::new(settings, self.flags.automatic()).map(Role::Client)
        };
        role.map_err(|_| SEC_E_INTERNAL_ERROR)
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
) -> Checked<(Versions, u32)> {
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
    Ok((versions, parameters.grbitDisabledProtocols))
}
