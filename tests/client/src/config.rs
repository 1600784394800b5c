//! What the connections of a server, or of a client, have in common.

use crate::{Credential, ResolvesServerCert};
use std::{sync::Arc, time::Duration};

/// What a server's connections have in common; [`TlsAcceptor`](crate::TlsAcceptor) is made from it.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Chooses each connection's credential; a [`Credential`] chooses itself.
    pub cert_resolver: Arc<dyn ResolvesServerCert>,
    /// The application protocols that are offered, best first; none unless it is set (RFC 7301).
    pub alpn_protocols: Vec<Vec<u8>>,
    /// What is made of clients' certificates; nothing unless it is set.
    pub client_auth: ClientAuth,
    /// How long the driver gives a handshake, in whole milliseconds from its first leg on; its
    /// setting `HandshakeTimeoutMs` unless it is set. It does not end the wait for a client that says
    /// nothing, and so makes no leg: that is the caller's to limit
    /// ([`accept`](crate::TlsAcceptor::accept)).
    pub handshake_timeout: Option<Duration>,
}

/// What a client's connections have in common; [`TlsConnector`](crate::TlsConnector) is made from it.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The credential.
    pub credential: Credential,
    /// The application protocols that are offered, best first; none unless it is set (RFC 7301).
    pub alpn_protocols: Vec<Vec<u8>>,
    /// How long the driver gives a handshake, in whole milliseconds from its first leg on; its
    /// setting `HandshakeTimeoutMs` unless it is set. It does not end the wait for a server that says
    /// nothing: that is the caller's to limit ([`connect`](crate::TlsConnector::connect)).
    pub handshake_timeout: Option<Duration>,
}

/// What a server makes of its clients' certificates. Asking for one is the credential's part
/// ([`CredentialOptions::request_client_certificate`](crate::CredentialOptions::request_client_certificate)):
/// TLS lets a client answer with none, so who demands one has to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Nothing.
    #[default]
    None,
    /// It is there to be seen in [`Connection`](crate::Connection); the caller judges, one that is not
    /// there included.
    Request,
    /// A connection is made only with a client that shows a certificate, and only when the security
    /// subsystem has checked it and found nothing wrong.
    Require,
}

impl ServerConfig {
    /// One credential for all clients.
    #[must_use]
    pub fn new(credential: Credential) -> Self {
        Self::with_cert_resolver(Arc::new(credential))
    }

    /// A credential for each client by what it says, for instance by the name it wants
    /// ([`ResolvesServerCertUsingSni`](crate::server::ResolvesServerCertUsingSni)).
    #[must_use]
    pub fn with_cert_resolver(resolver: Arc<dyn ResolvesServerCert>) -> Self {
        Self {
            cert_resolver: resolver,
            alpn_protocols: Vec::new(),
            client_auth: ClientAuth::None,
            handshake_timeout: None,
        }
    }
}

impl ClientConfig {
    /// This credential, without application protocols.
    #[must_use]
    pub const fn new(credential: Credential) -> Self {
        Self {
            credential,
            alpn_protocols: Vec::new(),
            handshake_timeout: None,
        }
    }
}
