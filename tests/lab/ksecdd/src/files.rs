//! What tests place on the machine as files, because Wine's stores do not keep it:
//!
//! * `C:\lab\roots\*`: trusted roots, each file one or more certificates in PEM
//! * `C:\lab\keys\THUMBPRINT.accounts`: who may use the key of the certificate with that SHA-1 (forty
//!   capital hexadecimal digits), one account name a line; without the file, see `Key::is_for`
//! * `C:\lab\keys\THUMBPRINT.pem`: its private key (PKCS #8, PKCS #1 or SEC 1), for kinds of keys
//!   that Wine's stores do not hold; the certificate itself must be in the store that is named
//! * `C:\lab\keys\THUMBPRINT.chain`: the certificates of its issuers in PEM, the nearest first

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The folder that the files are in: `C:\lab`.
pub struct Files<'a>(pub &'a Path);

impl Files<'_> {
    /// The trusted roots.
    pub fn roots(&self) -> Vec<CertificateDer<'static>> {
        let folder = self.0.join("roots");
        let entries = there(&folder, fs::read_dir(&folder)).into_iter().flatten();
        let files = entries.filter_map(|entry| there(&folder, entry));
        files
            .filter_map(|file| certificates(&file.path()))
            .flatten()
            .collect()
    }

    /// The issuers of a certificate.
    pub fn issuers(&self, thumbprint: &str) -> Vec<CertificateDer<'static>> {
        certificates(&self.beside_key(thumbprint, "chain")).unwrap_or_default()
    }

    /// The private key of a certificate, if it is in a file.
    pub fn private_key(&self, thumbprint: &str) -> Option<PrivateKeyDer<'static>> {
        let file = self.beside_key(thumbprint, "pem");
        let text = there(&file, fs::read(&file))?;
        PrivateKeyDer::from_pem_slice(&text)
            .inspect_err(|error| complain(&file, error))
            .ok()
    }

    /// The accounts that a key was given to, if any were named.
    pub fn accounts(&self, thumbprint: &str) -> Option<Vec<String>> {
        let file = self.beside_key(thumbprint, "accounts");
        let text = there(&file, fs::read_to_string(&file))?;
        let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
        Some(names.map(str::to_owned).collect())
    }

    fn beside_key(&self, thumbprint: &str, kind: &str) -> PathBuf {
        self.0.join("keys").join(format!("{thumbprint}.{kind}"))
    }
}

fn certificates(file: &Path) -> Option<Vec<CertificateDer<'static>>> {
    let text = there(file, fs::read(file))?;
    let read: Result<_, _> = CertificateDer::pem_slice_iter(&text).collect();
    read.inspect_err(|error| complain(file, error)).ok()
}

/// What is there. Whatever else keeps a file from being read ends the machine: a test must not go on without what
/// it has placed, least of all with a key that is for fewer accounts.
fn there<T>(path: &Path, read: io::Result<T>) -> Option<T> {
    match read {
        Ok(content) => Some(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => panic!("ksecdd.sys cannot read {}: {error}", path.display()),
    }
}

/// What is no PEM counts as absent; the log tells why.
fn complain(file: &Path, error: &dyn std::fmt::Debug) {
    eprintln!("ksecdd.sys makes nothing of {}: {error:?}", file.display());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identities::{Authority, identity};
    use openssl::{pkey::PKey, x509::X509};

    const THUMBPRINT: &str = "00112233445566778899AABBCCDDEEFF00112233";

    fn pem(certificate: &[u8]) -> Vec<u8> {
        X509::from_der(certificate).unwrap().to_pem().unwrap()
    }

    #[test]
    fn files_are_found_where_they_are_placed() {
        let folder = std::env::temp_dir().join(format!("ksecdd-files-{}", std::process::id()));
        let files = Files(&folder);
        assert!(files.roots().is_empty() && files.issuers(THUMBPRINT).is_empty());
        assert!(files.private_key(THUMBPRINT).is_none() && files.accounts(THUMBPRINT).is_none());
        fs::create_dir_all(folder.join("roots")).unwrap();
        fs::create_dir_all(folder.join("keys")).unwrap();
        let (authority, own) = (Authority::new("authority.test"), identity());
        let both = [pem(&authority.root()), pem(&own.chain[0])].concat();
        fs::write(folder.join("roots/two.pem"), &both).unwrap();
        fs::write(folder.join("roots/bad.pem"), "-----BEGIN CERTIFICATE-----").unwrap();
        let place = |kind: &str, content: &[u8]| {
            fs::write(folder.join(format!("keys/{THUMBPRINT}.{kind}")), content).unwrap();
        };
        place("chain", &pem(&authority.root()));
        place("accounts", b"web\r\n\n  mail \n");
        let key = PKey::private_key_from_der(own.key.secret_der()).unwrap();
        place("pem", &key.private_key_to_pem_pkcs8().unwrap());
        assert_eq!(files.roots(), [authority.root(), own.chain[0].clone()]);
        assert_eq!(files.issuers(THUMBPRINT), [authority.root()]);
        assert_eq!(files.accounts(THUMBPRINT).unwrap(), ["web", "mail"]);
        let read = files.private_key(THUMBPRINT).unwrap();
        let read = PKey::private_key_from_der(read.secret_der()).unwrap();
        assert!(read.public_eq(&key));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_there_and_cannot_be_read_is_not_absent() {
        let folder = std::env::temp_dir().join(format!("ksecdd-unread-{}", std::process::id()));
        let accounts = folder.join(format!("keys/{THUMBPRINT}.accounts"));
        fs::create_dir_all(accounts).unwrap();
        let read = std::panic::catch_unwind(|| Files(&folder).accounts(THUMBPRINT));
        fs::remove_dir_all(&folder).unwrap();
        assert!(read.is_err());
    }
}
