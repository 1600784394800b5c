//! A driver in memory, by rustls, and peers for it.

#![allow(dead_code, reason = "each test program uses a part of it")]

mod fake;
mod reply;
pub mod trickle;

pub use fake::Fake;

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{PrivateKeyDer, ServerName},
};
use std::sync::Arc;
use tlsgate_client::{Certificate, Driver, Protocols, Thumbprint, protocol::CredentialId};
use tokio_rustls::TlsConnector;

/// A fake driver with one credential, and a client that trusts its certificate.
pub struct Lab {
    pub fake: Fake,
    pub driver: Driver,
    pub credential: CredentialId,
    client: Arc<ClientConfig>,
}

impl Lab {
    /// Both sides speak this version only.
    pub async fn new(version: &'static SupportedProtocolVersion) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_protocol_versions(&[version])
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let mut client = ClientConfig::builder_with_protocol_versions(&[version])
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"http/1.1".to_vec()];

        let fake = Fake::new(server);
        let driver = Driver::new(fake.clone());
        let certificate = Certificate::machine(Thumbprint([7; 20]));
        let credential = driver.acquire(&certificate, Protocols::ALL).await.unwrap();
        Self {
            fake,
            driver,
            credential,
            client: Arc::new(client),
        }
    }

    pub fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.client))
    }
}

/// The name that the certificate is for.
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}
