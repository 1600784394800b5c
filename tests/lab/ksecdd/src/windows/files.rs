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
    fs,
    path::{Path, PathBuf},
};
use tlsgate_lab_control::FOLDER;

/// The trusted roots.
pub fn roots() -> Vec<CertificateDer<'static>> {
    let Ok(folder) = fs::read_dir(Path::new(FOLDER).join("roots")) else {
        return Vec::new();
    };
    folder
        .flatten()
        .flat_map(|entry| certificates(&entry.path()))
        .collect()
}

/// The issuers of a certificate.
pub fn issuers(thumbprint: &str) -> Vec<CertificateDer<'static>> {
    let file = beside_key(thumbprint, "chain");
    if file.exists() {
        certificates(&file)
    } else {
        Vec::new()
    }
}

/// The private key of a certificate, if it is in a file.
pub fn private_key(thumbprint: &str) -> Option<PrivateKeyDer<'static>> {
    let file = beside_key(thumbprint, "pem");
    if !file.exists() {
        return None;
    }
    match PrivateKeyDer::from_pem_file(&file) {
        Ok(key) => Some(key),
        Err(error) => {
            complain(&file, &error);
            None
        }
    }
}

/// The accounts that a key was given to, if any were named.
pub fn accounts(thumbprint: &str) -> Option<Vec<String>> {
    let text = fs::read_to_string(beside_key(thumbprint, "accounts")).ok()?;
    let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
    Some(names.map(str::to_owned).collect())
}

fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    read.unwrap_or_else(|error| {
        complain(file, &error);
        Vec::new()
    })
}

fn beside_key(thumbprint: &str, kind: &str) -> PathBuf {
    Path::new(FOLDER)
        .join("keys")
        .join(format!("{thumbprint}.{kind}"))
}

/// What cannot be read counts as absent; the log tells why.
fn complain(file: &Path, error: &dyn std::fmt::Debug) {
    eprintln!("ksecdd.sys cannot read {}: {error:?}", file.display());
}
