//! rustls configurations out of a credential.

use super::{
    choice::{Keys, ServerChoice},
    judge::{Judge, Peers, RevocationCheck},
};
use rustls::{
    ClientConfig, Error, ServerConfig,
    client::UnbufferedClientConnection,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::{
        NoClientAuth, NoServerSessionStorage, UnbufferedServerConnection,
        danger::ClientCertVerifier,
    },
    version::{TLS12, TLS13},
};
use std::{net::Ipv4Addr, sync::Arc};

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

/// What either credential is made of.
#[derive(Debug)]
pub struct Settings {
    /// Versions it allows.
    pub versions: Versions,
    /// Its certificates.
    pub identities: Vec<Identity>,
    /// The roots that the machine trusts.
    pub roots: Vec<CertificateDer<'static>>,
    /// How it wants revocation checked.
    pub revocation: RevocationCheck,
}

/// A server credential; tickets and sessions are its own.
#[derive(Debug)]
pub struct Server {
    /// For legs without `ASC_REQ_MUTUAL_AUTH`.
    anonymous: ServerConfig,
    /// For legs with it: clients are asked for a certificate, and may have none.
    mutual: ServerConfig,
    keys: Keys,
    /// The name it is for (`SCH_CRED_SNI_CREDENTIAL`).
    principal: Option<String>,
    /// Sessions can be resumed (no `SCH_CRED_DISABLE_RECONNECTS`).
    resumption: bool,
    /// What it thinks of clients.
    pub judge: Arc<Judge>,
}

impl Server {
    /// A server credential.
    pub fn new(
        settings: Settings,
        principal: Option<String>,
        resumption: bool,
    ) -> Result<Self, Error> {
        let Settings {
            versions,
            identities,
            roots,
            revocation,
        } = settings;
        let keys = Keys::new(identities)?;
        let judge = Arc::new(Judge::new(Peers::Clients, false, roots, revocation));
        let mutual: Arc<Judge> = Arc::clone(&judge);
        Ok(Self {
            anonymous: server_config(versions, &keys, Arc::new(NoClientAuth))?,
            mutual: server_config(versions, &keys, mutual)?,
            keys,
            principal,
            resumption,
            judge,
        })
    }

    /// A server's end: what its first leg brings goes into the credential's configuration.
    pub fn accept(&self, accepting: Accepting) -> Result<UnbufferedServerConnection, Error> {
        let config = if accepting.mutual {
            &self.mutual
        } else {
            &self.anonymous
        };
        let mut config = config.clone();
        config.alpn_protocols = accepting.alpn;
        config.cert_resolver = Arc::new(ServerChoice {
            keys: self.keys.clone(),
            principal: self.principal.clone(),
            that_name_only: accepting.that_name_only,
        });
        if !accepting.tickets_sent {
            config.send_tls13_tickets = 0;
        }
        if !accepting.tickets || !self.resumption {
            // Without ASC_REQ_SESSION_TICKET tickets are not used (microsoft/msquic, pull 1325).
            config.send_tls13_tickets = 0;
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.ticketer = Arc::new(NoTickets);
        }
        UnbufferedServerConnection::new(Arc::new(config))
    }
}

/// What a first accept brings.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is asked for or not by itself"
)]
#[derive(Debug, Clone, Default)]
pub struct Accepting {
    /// Application protocols.
    pub alpn: Vec<Vec<u8>>,
    /// `ASC_REQ_MUTUAL_AUTH`.
    pub mutual: bool,
    /// `ASC_REQ_SESSION_TICKET`.
    pub tickets: bool,
    /// TLS 1.3 tickets are sent if they are used.
    pub tickets_sent: bool,
    /// A credential for one name serves no other.
    pub that_name_only: bool,
}

fn server_config(
    versions: Versions,
    keys: &Keys,
    clients: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&versions.list())?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(ServerChoice {
            keys: keys.clone(),
            principal: None,
            that_name_only: false,
        }));
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    config.enable_secret_extraction = true;
    Ok(config)
}

/// A client credential; its sessions are its own.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    /// What it thinks of servers.
    pub judge: Arc<Judge>,
    /// The same for legs with `ISC_REQ_MANUAL_CRED_VALIDATION`, which leave that to their caller.
    lenient: Arc<Judge>,
}

impl Client {
    /// A client credential; `automatic` if a server's bad certificate ends its handshakes.
    pub fn new(settings: Settings, automatic: bool) -> Result<Self, Error> {
        let Settings {
            versions,
            identities,
            roots,
            revocation,
        } = settings;
        let judge = |automatic| {
            Arc::new(Judge::new(
                Peers::Servers,
                automatic,
                roots.clone(),
                revocation,
            ))
        };
        let (judge, lenient) = (judge(automatic), judge(false));
        let verifier: Arc<Judge> = Arc::clone(&judge);
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&versions.list())?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(Keys::new(identities)?));
        config.enable_secret_extraction = true;
        Ok(Self {
            config,
            judge,
            lenient,
        })
    }

    /// Whether a server's bad certificate ends its handshakes.
    pub fn is_automatic(&self) -> bool {
        self.judge.is_automatic()
    }

    /// A client's end; `None` for the target of a client that names none, and says none.
    pub fn initiate(
        &self,
        target: Option<ServerName<'static>>,
        alpn: Vec<Vec<u8>>,
        manual: bool,
    ) -> Result<UnbufferedClientConnection, Error> {
        let mut config = self.config.clone();
        config.alpn_protocols = alpn;
        if manual {
            let lenient: Arc<Judge> = Arc::clone(&self.lenient);
            config.dangerous().set_certificate_verifier(lenient);
        }
        // An address is not put into the ClientHello (RFC 6066, section 3).
        let nobody = || ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
        UnbufferedClientConnection::new(Arc::new(config), target.unwrap_or_else(nobody))
    }
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
