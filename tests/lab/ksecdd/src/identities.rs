//! Certificates with keys, for tests.

use crate::tls::config::Identity;
use openssl::rsa::Rsa;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A self-signed certificate for `lab.test`, with an ECDSA key.
pub fn identity() -> Identity {
    named("lab.test")
}

/// A self-signed certificate for `name`, with an ECDSA key.
pub fn named(name: &str) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = parameters(name).self_signed(&key).unwrap();
    of(&[&certificate], &key)
}

/// A self-signed certificate for `name`, with an RSA key.
pub fn rsa(name: &str) -> Identity {
    let key = Rsa::generate(2048).unwrap();
    let key = openssl::pkey::PKey::from_rsa(key).unwrap();
    let der = PrivatePkcs8KeyDer::from(key.private_key_to_pkcs8().unwrap());
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256).unwrap();
    let certificate = parameters(name).self_signed(&key).unwrap();
    of(&[&certificate], &key)
}

/// The same again.
pub fn copy(identity: &Identity) -> Identity {
    Identity {
        chain: identity.chain.clone(),
        key: identity.key.clone_key(),
    }
}

/// A certification authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut parameters = parameters(name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(parameters, key),
            certificate,
        }
    }

    /// Its own certificate.
    pub fn root(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// A certificate for `name`, and the authority's own behind it.
    pub fn issue(&self, name: &str, expired: bool) -> Identity {
        let mut parameters = parameters(name);
        if expired {
            parameters.not_after = date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        of(&[&certificate, &self.certificate], &key)
    }

    /// Its own certificate and key, as if it were a server.
    pub fn itself(&self) -> Identity {
        of(&[&self.certificate], self.issuer.key())
    }
}

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
    // rcgen names every subject alike, and issuers are told apart by their names.
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    parameters.not_before = date_time_ymd(2000, 1, 1);
    parameters
}

fn of(chain: &[&Certificate], key: &KeyPair) -> Identity {
    Identity {
        chain: chain.iter().map(|it| it.der().clone()).collect(),
        key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
    }
}
