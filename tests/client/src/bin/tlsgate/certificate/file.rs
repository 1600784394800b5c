//! Certificates from files: PKCS#12 with a key, PEM and DER without.

use super::{blob::private_key_blob, make::Made};
use anyhow::{Context, Result};
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rsa::{RsaPrivateKey, pkcs8::DecodePrivateKey};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tlsgate::Thumbprint;

/// The one certificate with a key in this package. Windows takes the package as it is; where it does
/// not, the key must be RSA.
pub fn pkcs12(file: &[u8], password: &str) -> Result<Made> {
    let keys = KeyStore::from_pkcs12(file, password, Pkcs12ImportPolicy::Relaxed)
        .context("not a PKCS#12 file, or another password; name it with --password")?;
    let (_, chain) = keys
        .private_key_chain()
        .context("no certificate with a key in it")?;
    let der = chain
        .certs()
        .first()
        .context("a key without a certificate")?;
    let key = RsaPrivateKey::from_pkcs8_der(chain.key().as_der()).ok();
    Ok(Made {
        pkcs12: file.to_vec(),
        password: password.to_owned(),
        der: der.as_der().to_vec(),
        key_blob: key.as_ref().map(private_key_blob).transpose()?,
        thumbprint: Thumbprint::of(der.as_der()),
    })
}

/// The first certificate of a PEM file, or the one that the file is; `None` for other files.
pub fn certificate(file: &[u8]) -> Option<Vec<u8>> {
    // The same crate that takes packages apart looks whether it is one in DER.
    p12_keystore::Certificate::from_der(file)
        .map(|certificate| certificate.as_der().to_vec())
        .ok()
        .or_else(|| Some(CertificateDer::from_pem_slice(file).ok()?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        certificate::make::{Made, self_signed},
        cli,
    };

    fn made() -> Made {
        self_signed(&cli::NewCert {
            name: "example.test".into(),
            dns: Vec::new(),
            ip: Vec::new(),
            days: 1,
            exportable: false,
            client: true,
        })
        .unwrap()
    }

    #[test]
    fn a_package_is_read_with_its_password_only() {
        let made = made();
        let read = pkcs12(&made.pkcs12, &made.password).unwrap();
        assert_eq!(read.thumbprint, made.thumbprint);
        assert_eq!((read.der, read.key_blob), (made.der, made.key_blob));
        assert!(pkcs12(&made.pkcs12, "another").is_err());
        assert!(pkcs12(b"garbage", "").is_err());
    }

    #[test]
    fn a_certificate_is_read_from_pem_and_der() {
        let der = made().der;
        let key = rcgen::KeyPair::generate().unwrap();
        let other = rcgen::CertificateParams::default()
            .self_signed(&key)
            .unwrap();
        assert_eq!(certificate(&der), Some(der));
        let pem = certificate(other.pem().as_bytes());
        assert_eq!(pem, Some(other.der().to_vec()));
        for other in [b"garbage", &made().pkcs12[..]] {
            assert_eq!(certificate(other), None);
        }
    }
}
