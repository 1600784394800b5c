//! A driver in memory, by rustls, and peers for it.

#![allow(dead_code, reason = "each test program uses a part of it")]

mod fake;
mod reply;
mod session;
pub mod trickle;

pub use fake::Fake;

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use session::Configs;
use std::sync::Arc;
use tlsgate::{
    Certificate, ClientConfig as OurClientConfig, Credential, CredentialOptions, Driver,
    ServerConfig as OurServerConfig, Thumbprint, TlsAcceptor, TlsConnector,
};

/// A fake driver with a credential of each role, and peers: both sides trust the same certificate.
pub struct Lab {
    pub fake: Fake,
    pub driver: Driver,
    /// The driver's.
    pub acceptor: TlsAcceptor,
    /// The driver's.
    pub connector: TlsConnector,
    pub certificate: CertificateDer<'static>,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Lab {
    /// All sides speak this version only.
    pub async fn new(version: &'static SupportedProtocolVersion) -> Self {
        Self::named(version, vec!["localhost".to_owned()]).await
    }

    /// The same with these names in the certificate.
    pub async fn named(version: &'static SupportedProtocolVersion, names: Vec<String>) -> Self {
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut server = ServerConfig::builder_with_protocol_versions(&[version])
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let mut client = ClientConfig::builder_with_protocol_versions(&[version])
            .with_root_certificates(roots)
            .with_no_client_auth();

        let fake = Fake::new(Configs {
            server: server.clone(),
            client: client.clone(),
        });
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        let driver = Driver::new(fake.clone());
        let options = CredentialOptions::server(Certificate::machine(Thumbprint([7; 20])));
        let serving = Credential::acquire(&driver, &options).await.unwrap();
        let mut serving = OurServerConfig::new(serving);
        serving.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let connecting = Credential::acquire(&driver, &CredentialOptions::client())
            .await
            .unwrap();
        let mut connecting = OurClientConfig::new(connecting);
        connecting
            .alpn_protocols
            .clone_from(&serving.alpn_protocols);
        Self {
            acceptor: TlsAcceptor::from(Arc::new(serving)),
            connector: TlsConnector::from(Arc::new(connecting)),
            fake,
            driver,
            certificate,
            client: Arc::new(client),
            server: Arc::new(server),
        }
    }

    /// A client that is not ours.
    pub fn client(&self) -> tokio_rustls::TlsConnector {
        tokio_rustls::TlsConnector::from(Arc::clone(&self.client))
    }

    /// A server that is not ours.
    pub fn server(&self) -> tokio_rustls::TlsAcceptor {
        tokio_rustls::TlsAcceptor::from(Arc::clone(&self.server))
    }
}

/// The name that the certificate is for.
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}
