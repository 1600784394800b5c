//! The other side of a session in either role: rustls, of one TLS version, with or without a certificate.

use crate::tls::AnyCertificate;
use anyhow::{Context, Result};
use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, DistinguishedName,
    ServerConfig, ServerConnection, SignatureScheme, SupportedProtocolVersion,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use std::{
    io::{Read, Write},
    sync::{Arc, LazyLock},
};

/// The TLS version of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl Version {
    fn list(self) -> &'static [&'static SupportedProtocolVersion] {
        static TLS12: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
        static TLS13: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
        match self {
            Self::Tls12 => &TLS12,
            Self::Tls13 => &TLS13,
        }
    }
}

/// What is common to some clients: they resume each other's sessions.
#[derive(Clone)]
pub struct Clients(Arc<ClientConfig>);

impl Clients {
    /// Clients of this version; with a certificate to show if they are asked.
    pub fn new(version: Version, with_certificate: bool) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(version.list())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)));
        let mut config = if with_certificate {
            let (chain, key) = IDENTITY.clone().into_parts();
            builder.with_client_auth_cert(chain, key)?
        } else {
            builder.with_no_client_auth()
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// One of them, who has not said anything.
    pub fn one(&self) -> Result<Peer> {
        let name = ServerName::try_from("localhost")?;
        let connection = ClientConnection::new(Arc::clone(&self.0), name)?;
        Ok(Peer::of(connection.into()))
    }
}

/// A peer.
pub struct Peer(Connection);

impl Peer {
    /// A client of this version, without a certificate.
    pub fn client(version: Version) -> Result<Self> {
        Clients::new(version, false)?.one()
    }

    /// A server of this version, which may demand a certificate of its client.
    pub fn server(version: Version, demands_certificate: bool) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(version.list())?;
        let builder = if demands_certificate {
            builder.with_client_cert_verifier(Arc::new(AnyClient(provider)))
        } else {
            builder.with_no_client_auth()
        };
        let (chain, key) = IDENTITY.clone().into_parts();
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        let connection = ServerConnection::new(Arc::new(config))?;
        Ok(Self::of(connection.into()))
    }

    fn of(mut connection: Connection) -> Self {
        connection.set_buffer_limit(None);
        Self(connection)
    }

    /// What it says.
    pub fn take(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes)?;
        }
        Ok(bytes)
    }

    /// What is said to it; gives the data in that.
    pub fn give(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes)?;
            let state = self.0.process_new_packets().context("the peer objects")?;
            let had = data.len();
            data.resize(had + state.plaintext_bytes_to_read(), 0);
            self.0.reader().read_exact(&mut data[had..])?;
        }
        Ok(data)
    }

    /// The records of so much data.
    pub fn say(&mut self, data: &[u8]) -> Result<Vec<u8>> {
        self.0.writer().write_all(data)?;
        self.take()
    }

    /// The record of a `KeyUpdate` that asks for one in return.
    pub fn update_keys(&mut self) -> Result<Vec<u8>> {
        self.0.refresh_traffic_keys()?;
        self.take()
    }

    /// `close_notify`.
    pub fn say_goodbye(&mut self) -> Result<Vec<u8>> {
        self.0.send_close_notify();
        self.take()
    }
}

/// A certificate of nobody's, and its key.
#[derive(Clone)]
struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    fn into_parts(self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivatePkcs8KeyDer::from(self.key);
        (vec![self.certificate], key.into())
    }
}

static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])
        .expect("a name, and a key of ring's");
    Identity {
        certificate: made.cert.der().clone(),
        key: made.signing_key.serialize_der(),
    }
});

/// Demands a certificate and takes any.
#[derive(Debug)]
struct AnyClient(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
