//! rustls: the clients of every handshake, and the engine that is called directly.

use crate::{Site, service::Kind};
use anyhow::{Context as _, Result};
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, RootCertStore, ServerConfig,
    ServerConnection, SupportedProtocolVersion,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName},
    server::NoServerSessionStorage,
    version::{TLS12, TLS13},
};
use std::sync::Arc;

/// Sessions that clients remember.
const REMEMBERED: usize = 4096;

/// Makes clients.
pub struct Clients {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// Makes servers: the engine without the driver.
pub struct Servers(Arc<ServerConfig>);

impl Clients {
    /// Clients that trust the site's root.
    ///
    /// # Errors
    ///
    /// The site's certificate or name is none.
    pub fn new(site: &Site, kind: Kind) -> Result<Self> {
        Self::speaking(site, kind, Vec::new())
    }

    /// The same, with these application protocols in their `ClientHello`.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn speaking(site: &Site, kind: Kind, protocols: Vec<Vec<u8>>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(site.root.clone()))?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(kind))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols;
        config.resumption = if kind.resumes {
            Resumption::in_memory_sessions(REMEMBERED)
        } else {
            Resumption::disabled()
        };
        Ok(Self {
            config: Arc::new(config),
            name: ServerName::try_from(site.name.clone()).context("the site's name")?,
        })
    }

    /// A client that has not begun.
    ///
    /// # Errors
    ///
    /// rustls has none.
    pub fn client(&self) -> Result<ClientConnection> {
        Ok(ClientConnection::new(
            Arc::clone(&self.config),
            self.name.clone(),
        )?)
    }

    /// A `ClientHello`, which may be sent any number of times.
    ///
    /// # Errors
    ///
    /// rustls makes none.
    pub fn hello(&self) -> Result<Vec<u8>> {
        let mut hello = Vec::new();
        speak(&mut *self.client()?, &mut hello)?;
        Ok(hello)
    }
}

impl Servers {
    /// Servers with the site's identity.
    ///
    /// # Errors
    ///
    /// The site's certificate or key is none.
    pub fn new(site: &Site, kind: Kind) -> Result<Self> {
        let chain = vec![CertificateDer::from(site.certificate.clone())];
        let key = PrivatePkcs8KeyDer::from(site.key.clone());
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(kind))?
            .with_no_client_auth()
            .with_single_cert(chain, key.into())?;
        if kind.resumes {
            config.ticketer = ring::Ticketer::new()?;
        } else {
            config.send_tls13_tickets = 0;
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        Ok(Self(Arc::new(config)))
    }

    /// A server that has not begun.
    ///
    /// # Errors
    ///
    /// rustls has none.
    pub fn server(&self) -> Result<ServerConnection> {
        Ok(ServerConnection::new(Arc::clone(&self.0))?)
    }
}

/// X25519 only.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    })
}

fn versions(kind: Kind) -> &'static [&'static SupportedProtocolVersion] {
    const NEW: &[&SupportedProtocolVersion] = &[&TLS13];
    const OLD: &[&SupportedProtocolVersion] = &[&TLS12];
    if kind.tls13 { NEW } else { OLD }
}

/// Appends all that an end has to say.
///
/// # Errors
///
/// rustls cannot write.
pub fn speak<Data>(end: &mut ConnectionCommon<Data>, to: &mut Vec<u8>) -> Result<()> {
    while end.wants_write() {
        end.write_tls(to)?;
    }
    Ok(())
}

/// Lets an end hear all of what the other one has said.
///
/// # Errors
///
/// TLS fails.
pub fn hear<Data>(end: &mut ConnectionCommon<Data>, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        end.read_tls(&mut bytes)?;
        end.process_new_packets()?;
    }
    Ok(())
}
