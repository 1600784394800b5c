//! Which of a credential's certificates is shown to a peer. How Schannel chooses among several is
//! not documented: what follows is *assumed*.

use super::config::Identity;
use rustls::{
    CertificateError, Error, SignatureScheme,
    client::{ResolvesClientCert, verify_server_name},
    crypto::ring::default_provider,
    pki_types::ServerName,
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::sync::Arc;

/// A credential's certificates with their keys, in the caller's order.
#[derive(Debug, Clone)]
pub struct Keys(Arc<[Arc<CertifiedKey>]>);

impl Keys {
    /// Certificates whose keys can be used.
    pub fn new(identities: Vec<Identity>) -> Result<Self, Error> {
        let provider = default_provider();
        let keys: Result<_, Error> = identities
            .into_iter()
            .map(|Identity { chain, key }| {
                CertifiedKey::from_der(chain, key, &provider).map(Arc::new)
            })
            .collect();
        keys.map(Self)
    }

    /// Of the certificates for that name the first whose key can sign; of the others if there is none.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let can_sign = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let named =
            name.and_then(|name| self.0.iter().filter(|key| is_for(key, name)).find(can_sign));
        named
            .or_else(|| self.0.iter().find(can_sign))
            .or_else(|| self.0.first())
            .cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &str) -> bool {
    let Some(own) = key.cert.first() else {
        return false;
    };
    let judged = ParsedCertificate::try_from(own).and_then(|certificate| {
        let name = ServerName::try_from(name)
            .map_err(|_| Error::InvalidCertificate(CertificateError::NotValidForName))?;
        verify_server_name(&certificate, &name)
    });
    judged.is_ok()
}

/// A server's choice on one connection.
#[derive(Debug)]
pub struct ServerChoice {
    /// The certificates.
    pub keys: Keys,
    /// The name that the credential is for, whatever name the client wants.
    pub principal: Option<String>,
    /// Clients that want another name get nothing.
    pub that_name_only: bool,
}

impl ResolvesServerCert for ServerChoice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name();
        let name = match (&self.principal, wanted) {
            (Some(principal), Some(wanted))
                if self.that_name_only && !principal.eq_ignore_ascii_case(wanted) =>
            {
                return None;
            }
            (Some(principal), _) => Some(principal.as_str()),
            (None, wanted) => wanted,
        };
        self.keys.choose(name, hello.signature_schemes())
    }
}

/// A client shows the first certificate whose key can sign.
impl ResolvesClientCert for Keys {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let can_sign = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        self.0.iter().find(can_sign).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}
