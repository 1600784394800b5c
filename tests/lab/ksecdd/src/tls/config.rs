//! rustls configurations out of a credential.

use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
    client::{
        UnbufferedClientConnection,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, ring::default_provider, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::{
        NoClientAuth, NoServerSessionStorage, UnbufferedServerConnection,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::{TLS12, TLS13},
};
use std::sync::Arc;

/// Which TLS versions a credential allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// TLS 1.2.
    pub tls12: bool,
    /// TLS 1.3.
    pub tls13: bool,
}

impl Versions {
    fn list(self) -> Vec<&'static rustls::SupportedProtocolVersion> {
        [(self.tls13, &TLS13), (self.tls12, &TLS12)]
            .into_iter()
            .filter_map(|(allowed, version)| allowed.then_some(version))
            .collect()
    }
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Identity {
    /// The certificate and those of its issuers.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key.
    pub key: PrivateKeyDer<'static>,
}

/// The configurations of a server credential; tickets and sessions are the credential's own.
#[derive(Debug)]
pub struct Server {
    /// For legs without `ASC_REQ_MUTUAL_AUTH`.
    anonymous: ServerConfig,
    /// For legs with it: clients are asked for a certificate, and may have none.
    mutual: ServerConfig,
}

/// The configurations of a server credential.
pub fn server(versions: Versions, identity: Identity) -> Result<Server, Error> {
    let Identity { chain, key } = identity;
    let again = Identity {
        chain: chain.clone(),
        key: key.clone_key(),
    };
    Ok(Server {
        anonymous: server_config(versions, Identity { chain, key }, Arc::new(NoClientAuth))?,
        mutual: server_config(
            versions,
            again,
            Arc::new(LeftToCaller(Arc::new(default_provider()))),
        )?,
    })
}

fn server_config(
    versions: Versions,
    identity: Identity,
    clients: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&versions.list())?
        .with_client_cert_verifier(clients)
        .with_single_cert(identity.chain, identity.key)?;
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    config.enable_secret_extraction = true;
    Ok(config)
}

/// A server's end: what its first leg brings goes into the credential's configuration.
pub fn accept(
    credential: &Server,
    alpn: Vec<Vec<u8>>,
    mutual: bool,
    tickets: bool,
) -> Result<UnbufferedServerConnection, Error> {
    let config = if mutual {
        &credential.mutual
    } else {
        &credential.anonymous
    };
    let mut config = config.clone();
    config.alpn_protocols = alpn;
    if !tickets {
        // Without ASC_REQ_SESSION_TICKET tickets are not used (microsoft/msquic, pull 1325).
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::new(NoTickets);
    }
    UnbufferedServerConnection::new(Arc::new(config))
}

/// The configuration of a client credential. Without `roots` the peer's certificate is its
/// caller's business (`SCH_CRED_MANUAL_CRED_VALIDATION`).
pub fn client(
    versions: Versions,
    identity: Option<Identity>,
    roots: Option<Vec<CertificateDer<'static>>>,
) -> Result<ClientConfig, Error> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions.list())?;
    let builder = match roots {
        Some(roots) => {
            let mut trusted = RootCertStore::empty();
            trusted.add_parsable_certificates(roots);
            builder.with_root_certificates(trusted)
        }
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(LeftToCaller(provider))),
    };
    let mut config = match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key)?,
        None => builder.with_no_client_auth(),
    };
    config.enable_secret_extraction = true;
    Ok(config)
}

/// A client's end.
pub fn initiate(
    credential: &ClientConfig,
    target: &str,
    alpn: Vec<Vec<u8>>,
) -> Result<UnbufferedClientConnection, Error> {
    let mut config = credential.clone();
    config.alpn_protocols = alpn;
    let name = ServerName::try_from(target.to_owned())
        .map_err(|_| Error::General("target name".to_owned()))?;
    UnbufferedClientConnection::new(Arc::new(config), name)
}

#[derive(Debug)]
struct NoTickets;

impl rustls::server::ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Accepts every certificate: the driver's caller judges it. Signatures are checked all the same.
#[derive(Debug)]
struct LeftToCaller(Arc<CryptoProvider>);

impl ServerCertVerifier for LeftToCaller {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for LeftToCaller {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}
