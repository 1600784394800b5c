//! The TLS peer: rustls, in user mode in this process.

use super::pki::{Identity, Pki};
use anyhow::Result;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use std::sync::Arc;
use tlsgate::Protocols;

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Tls12,
    Tls13,
}

impl Version {
    /// For the driver.
    pub const fn protocols(self) -> Protocols {
        match self {
            Self::Tls12 => Protocols::TLS1_2,
            Self::Tls13 => Protocols::TLS1_3,
        }
    }

    /// On the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::Tls12 => 0x0303,
            Self::Tls13 => 0x0304,
        }
    }

    fn of_rustls(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::Tls12 => &TLS12,
            Self::Tls13 => &TLS13,
        }
    }
}

/// A client that trusts the run's authority, checks its servers' names, and resumes sessions.
pub fn client(pki: &Pki, version: Version) -> Result<ClientConfig> {
    Ok(trusting(pki, version)?.with_no_client_auth())
}

/// The same with a certificate to show.
pub fn client_with(pki: &Pki, version: Version, identity: &Identity) -> Result<ClientConfig> {
    let chain = vec![identity.certificate.clone()];
    Ok(trusting(pki, version)?.with_client_auth_cert(chain, identity.key.clone_key())?)
}

fn trusting(
    pki: &Pki,
    version: Version,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version.of_rustls()])?;
    Ok(builder.with_root_certificates(roots(pki)?))
}

/// A server with this certificate.
pub fn server(version: Version, identity: &Identity) -> Result<ServerConfig> {
    let chain = vec![identity.certificate.clone()];
    Ok(ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version.of_rustls()])?
        .with_no_client_auth()
        .with_single_cert(chain, identity.key.clone_key())?)
}

/// The same that lets in only clients with a certificate of the run's authority.
pub fn demanding_server(pki: &Pki, version: Version, identity: &Identity) -> Result<ServerConfig> {
    let chain = vec![identity.certificate.clone()];
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pki)?), provider()).build()?;
    Ok(ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version.of_rustls()])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, identity.key.clone_key())?)
}

fn roots(pki: &Pki) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(pki.root.clone())?;
    Ok(roots)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
