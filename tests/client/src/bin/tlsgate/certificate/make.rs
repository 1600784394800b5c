//! A self-signed test certificate with its key, packed as PKCS#12: the one form in which every
//! Windows takes a key and a certificate together.

use super::blob::private_key_blob;
use crate::cli;
use anyhow::{Context, Result};
use p12_keystore::{KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, SanType,
};
use rsa::{RsaPrivateKey, pkcs8::EncodePrivateKey, rand_core::OsRng};
use time::{Duration, OffsetDateTime};
use tlsgate::Thumbprint;

/// The PKCS#12 never leaves the process: the password is a formality.
const PASSWORD: &str = "tlsgate";

/// RSA, because every TLS client and both ends of the supported range of Windows take it.
const KEY_BITS: usize = 2048;

/// A certificate with its key.
pub struct Made {
    /// Both of them, under `password`.
    pub pkcs12: Vec<u8>,
    /// The package's.
    pub password: String,
    /// The certificate alone.
    pub der: Vec<u8>,
    /// The key alone, as `CryptoAPI` wants it, which has RSA only.
    pub key_blob: Option<Vec<u8>>,
    /// The certificate's name in a store.
    pub thumbprint: Thumbprint,
}

/// Makes a certificate that is its own issuer.
pub fn self_signed(options: &cli::NewCert) -> Result<Made> {
    let key = rsa_key()?;
    let certificate = parameters(options)?.self_signed(&rsa_signer(&key)?)?;
    pack(&options.name, &key, certificate.der())
}

/// A new RSA key.
pub fn rsa_key() -> Result<RsaPrivateKey> {
    RsaPrivateKey::new(&mut OsRng, KEY_BITS).context("no RSA key")
}

/// The key as the certificate's subject, or as its issuer.
pub fn rsa_signer(key: &RsaPrivateKey) -> Result<KeyPair> {
    let pkcs8 = key.to_pkcs8_der()?;
    let pkcs8 = pkcs8.as_bytes().into();
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(
        &pkcs8,
        &PKCS_RSA_SHA256,
    )?)
}

/// Packs a certificate in DER with its key, under this name.
pub fn pack(name: &str, key: &RsaPrivateKey, der: &[u8]) -> Result<Made> {
    let pkcs8 = key.to_pkcs8_der()?;
    let chain = PrivateKeyChain::new(
        b"1".to_vec(),
        PrivateKey::from_der(pkcs8.as_bytes())?,
        [p12_keystore::Certificate::from_der(der)?],
    );
    let mut keys = KeyStore::new();
    keys.add_entry(name, KeyStoreEntry::PrivateKeyChain(chain));
    let pkcs12 = keys.writer(PASSWORD).write()?;
    Ok(Made {
        pkcs12,
        password: PASSWORD.to_owned(),
        der: der.to_vec(),
        key_blob: Some(private_key_blob(key)?),
        thumbprint: Thumbprint::of(der),
    })
}

fn parameters(options: &cli::NewCert) -> Result<CertificateParams> {
    let mut names = vec![options.name.clone()];
    names.extend(options.dns.iter().cloned());
    let mut parameters =
        CertificateParams::new(names).context("a DNS name has letters that are not ASCII")?;
    parameters
        .subject_alt_names
        .extend(options.ip.iter().map(|ip| SanType::IpAddress(*ip)));
    parameters.distinguished_name = DistinguishedName::new();
    parameters
        .distinguished_name
        .push(DnType::CommonName, options.name.as_str());
    parameters.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    parameters.extended_key_usages = vec![if options.client {
        ExtendedKeyUsagePurpose::ClientAuth
    } else {
        ExtendedKeyUsagePurpose::ServerAuth
    }];
    // An hour back: clocks differ.
    let now = OffsetDateTime::now_utc();
    parameters.not_before = now - Duration::hours(1);
    parameters.not_after = now + Duration::days(options.days.into());
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use p12_keystore::Pkcs12ImportPolicy;

    #[test]
    fn the_package_holds_the_key_and_the_certificate_of_the_thumbprint() {
        let options = cli::NewCert {
            name: "example.test".into(),
            dns: vec!["other.test".into()],
            ip: vec!["127.0.0.1".parse().unwrap()],
            days: 1,
            exportable: false,
            client: false,
        };
        let made = self_signed(&options).unwrap();
        let keys =
            KeyStore::from_pkcs12(&made.pkcs12, PASSWORD, Pkcs12ImportPolicy::Strict).unwrap();
        let (_, chain) = keys.private_key_chain().unwrap();
        assert_eq!(Thumbprint::of(chain.certs()[0].as_der()), made.thumbprint);
        assert!(chain.certs()[0].subject().contains("example.test"));
    }
}
