//! `SCH_CREDENTIALS.dwFlags`: which are known, whose they are, and what they mean
//! (`SCH_CREDENTIALS`, MicrosoftDocs/sdk-api; `SCH_CRED_SNI_CREDENTIAL` and
//! `SCH_CRED_DEFERRED_CRED_VALIDATION` are in `schannel.h` and as microsoft/msquic uses them).

use crate::{
    rules::{CREDENTIAL_FLAGS, Checked, broken, check},
    tls::judge::{RevocationCheck, Scope},
};
use windows_sys::Win32::Security::Authentication::Identity::{
    SCH_CRED_AUTO_CRED_VALIDATION, SCH_CRED_DEFERRED_CRED_VALIDATION,
    SCH_CRED_IGNORE_NO_REVOCATION_CHECK, SCH_CRED_IGNORE_REVOCATION_OFFLINE,
    SCH_CRED_MANUAL_CRED_VALIDATION, SCH_CRED_NO_DEFAULT_CREDS, SCH_CRED_NO_SYSTEM_MAPPER,
    SCH_CRED_REVOCATION_CHECK_CHAIN, SCH_CRED_REVOCATION_CHECK_CHAIN_EXCLUDE_ROOT,
    SCH_CRED_REVOCATION_CHECK_END_CERT, SCH_CRED_SNI_CREDENTIAL, SCH_DISABLE_RECONNECTS,
    SCH_MACHINE_CERT_HASH, SCH_USE_STRONG_CRYPTO,
};

/// Flags that either role may have.
const COMMON: u32 = SCH_MACHINE_CERT_HASH
    | SCH_USE_STRONG_CRYPTO
    | SCH_CRED_REVOCATION_CHECK_END_CERT
    | SCH_CRED_REVOCATION_CHECK_CHAIN
    | SCH_CRED_REVOCATION_CHECK_CHAIN_EXCLUDE_ROOT
    | SCH_CRED_IGNORE_NO_REVOCATION_CHECK
    | SCH_CRED_IGNORE_REVOCATION_OFFLINE;

/// Flags of a server.
const SERVER: u32 =
    COMMON | SCH_CRED_NO_SYSTEM_MAPPER | SCH_DISABLE_RECONNECTS | SCH_CRED_SNI_CREDENTIAL;

/// Flags of a client.
const CLIENT: u32 = COMMON
    | SCH_CRED_MANUAL_CRED_VALIDATION
    | SCH_CRED_NO_DEFAULT_CREDS
    | SCH_CRED_AUTO_CRED_VALIDATION
    | SCH_CRED_DEFERRED_CRED_VALIDATION;

/// What the flags mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// Checks the flags of a server or client credential with or without certificates.
    pub fn read(flags: u32, server: bool, certificates: usize) -> Checked<Self> {
        let allowed = if server { SERVER } else { CLIENT };
        check(flags & !allowed == 0, CREDENTIAL_FLAGS, || {
            let role = if server { "server" } else { "client" };
            format!("{:#x} of a {role}", flags & !allowed)
        })?;
        let this = Self(flags);
        let required: &[(&str, bool)] = &[
            ("SCH_USE_STRONG_CRYPTO", this.has(SCH_USE_STRONG_CRYPTO)),
            // No certificate of a client shall become a logon.
            (
                "SCH_CRED_NO_SYSTEM_MAPPER",
                !server || this.has(SCH_CRED_NO_SYSTEM_MAPPER),
            ),
            // Nor shall any certificate be shown that was not named.
            (
                "SCH_CRED_NO_DEFAULT_CREDS",
                server || certificates > 0 || this.has(SCH_CRED_NO_DEFAULT_CREDS),
            ),
        ];
        for (flag, there) in required {
            if !there {
                return broken(CREDENTIAL_FLAGS, format!("no {flag}"));
            }
        }
        for contradiction in [
            &[
                SCH_CRED_MANUAL_CRED_VALIDATION,
                SCH_CRED_AUTO_CRED_VALIDATION,
            ][..],
            &[
                SCH_CRED_MANUAL_CRED_VALIDATION,
                SCH_CRED_DEFERRED_CRED_VALIDATION,
            ],
            &[
                SCH_CRED_REVOCATION_CHECK_END_CERT,
                SCH_CRED_REVOCATION_CHECK_CHAIN,
                SCH_CRED_REVOCATION_CHECK_CHAIN_EXCLUDE_ROOT,
            ],
        ] {
            let set = contradiction.iter().filter(|&&flag| this.has(flag)).count();
            check(set <= 1, CREDENTIAL_FLAGS, || {
                format!("{flags:#x} contradict one another")
            })?;
        }
        Ok(this)
    }

    fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    /// Every certificate's store is the machine's, if the flag has a meaning here.
    pub fn machine(self) -> bool {
        self.has(SCH_MACHINE_CERT_HASH)
    }

    /// A server's bad certificate ends a client's handshake. Automatic is the default.
    pub fn automatic(self) -> bool {
        !self.has(SCH_CRED_MANUAL_CRED_VALIDATION) && !self.has(SCH_CRED_DEFERRED_CRED_VALIDATION)
    }

    /// The credential is for the name that is its principal.
    pub fn for_principal(self) -> bool {
        self.has(SCH_CRED_SNI_CREDENTIAL)
    }

    /// Sessions can be resumed.
    pub fn resumption(self) -> bool {
        !self.has(SCH_DISABLE_RECONNECTS)
    }

    /// How revocation is checked.
    pub fn revocation(self) -> RevocationCheck {
        let scope = if self.has(SCH_CRED_REVOCATION_CHECK_END_CERT) {
            Some(Scope::Own)
        } else if self.has(SCH_CRED_REVOCATION_CHECK_CHAIN) {
            Some(Scope::Chain)
        } else if self.has(SCH_CRED_REVOCATION_CHECK_CHAIN_EXCLUDE_ROOT) {
            Some(Scope::ChainButRoot)
        } else {
            None
        };
        RevocationCheck {
            scope,
            ignore_none: self.has(SCH_CRED_IGNORE_NO_REVOCATION_CHECK),
            ignore_offline: self.has(SCH_CRED_IGNORE_REVOCATION_OFFLINE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRONG: u32 = SCH_USE_STRONG_CRYPTO;
    const SERVERS: u32 = STRONG | SCH_CRED_NO_SYSTEM_MAPPER;
    const CLIENTS: u32 = STRONG | SCH_CRED_NO_DEFAULT_CREDS;

    #[test]
    fn each_role_has_its_flags() {
        for (flags, server) in [
            (SERVERS, true),
            (SERVERS | 0x80 | 0x8_0000 | 0x100 | 0x800 | 0x1000 | 1, true),
            (CLIENTS, false),
            (CLIENTS | 0x8, false),
            (CLIENTS | 0x20 | 0x0400_0000 | 0x400, false),
        ] {
            assert!(Flags::read(flags, server, 1).is_ok(), "{flags:#x}");
        }
        assert!(Flags::read(STRONG, false, 1).is_ok());
        for (flags, server) in [
            (STRONG, true),
            (SCH_CRED_NO_SYSTEM_MAPPER, true),
            (SERVERS | 0x8, true),
            (SERVERS | 0x10, true),
            (SERVERS | 0x20, true),
            (SERVERS | 0x0400_0000, true),
            (SERVERS | 0x100 | 0x200, true),
            (SERVERS | 0x4, true),
            (SERVERS | 0x8000_0000, true),
            (STRONG, false),
            (SCH_CRED_NO_DEFAULT_CREDS, false),
            (CLIENTS | 0x2, false),
            (CLIENTS | 0x4, false),
            (CLIENTS | 0x80, false),
            (CLIENTS | 0x8_0000, false),
            (CLIENTS | 0x8 | 0x20, false),
            (CLIENTS | 0x8 | 0x0400_0000, false),
            (CLIENTS | 0x200 | 0x400, false),
        ] {
            let certificates = usize::from(server);
            let read = Flags::read(flags, server, certificates);
            assert_eq!(read.unwrap_err().rule, CREDENTIAL_FLAGS, "{flags:#x}");
        }
    }

    #[test]
    fn flags_mean_what_they_say() {
        let read = |flags| Flags::read(flags, flags & 0x2 != 0, 1).unwrap();
        assert!(read(CLIENTS).automatic() && read(CLIENTS | 0x20).automatic());
        assert!(!read(CLIENTS | 0x8).automatic() && !read(CLIENTS | 0x0400_0000).automatic());
        assert!(read(SERVERS).resumption() && !read(SERVERS | 0x80).resumption());
        assert!(!read(SERVERS).for_principal() && read(SERVERS | 0x8_0000).for_principal());
        assert!(!read(SERVERS).machine() && read(SERVERS | 1).machine());
        for (flag, scope) in [
            (0, None),
            (0x100, Some(Scope::Own)),
            (0x200, Some(Scope::Chain)),
            (0x400, Some(Scope::ChainButRoot)),
        ] {
            assert_eq!(read(SERVERS | flag).revocation().scope, scope);
        }
        let lenient = read(CLIENTS | 0x800 | 0x1000).revocation();
        assert!(lenient.ignore_none && lenient.ignore_offline);
    }
}
