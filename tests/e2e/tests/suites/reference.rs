//! The engine of the lab's Schannel, rustls with ring, served without a driver: same certificates, versions,
//! suites, application protocols and tickets, by the library's own record layer and client check.

use crate::pki::{Authority, Identity};
use anyhow::{Context, Result};
use openssl::x509::X509;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::ring::{Ticketer, default_provider},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

/// How long a client may say nothing.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a server has for its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// What comes goes back.
    Echo,
    /// A page over HTTP/1.1.
    Page,
}

/// Starts one, which serves as long as the tests run.
pub fn start(
    identities: &[Identity],
    authority: &Authority,
    content: Content,
    clients: Option<&Authority>,
) -> Result<SocketAddr> {
    let config = Arc::new(config(identities, authority, content, clients)?);
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let config = Arc::clone(&config);
            // How a connection ends is the client's choice, and what it hears is compared.
            thread::spawn(move || serve(socket, config, content).ok());
        }
    });
    Ok(address)
}

/// As `tests/lab/ksecdd/src/tls/config.rs` has it, but that clients are judged by the library.
fn config(
    identities: &[Identity],
    authority: &Authority,
    content: Content,
    clients: Option<&Authority>,
) -> Result<ServerConfig> {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(der(authority.certificate())?)?;
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?,
            )
        }
    };
    let keys = identities.iter().map(|identity| {
        let chain = vec![der(&identity.certificate)?, der(authority.certificate())?];
        let key = PrivatePkcs8KeyDer::from(identity.key.private_key_to_pkcs8()?);
        let key = CertifiedKey::from_der(chain, key.into(), &default_provider())?;
        Ok(Arc::new(key))
    });
    let mut config = builder.with_cert_resolver(Arc::new(FirstThatSigns(
        keys.collect::<Result<_>>().context("the server's keys")?,
    )));
    config.ticketer = Ticketer::new()?;
    if content == Content::Page {
        config.alpn_protocols = crate::ALPN.split(',').map(Into::into).collect();
    }
    Ok(config)
}

fn der(certificate: &X509) -> Result<CertificateDer<'static>> {
    Ok(certificate.to_der()?.into())
}

/// The first certificate whose key can sign what the client takes.
#[derive(Debug)]
struct FirstThatSigns(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for FirstThatSigns {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let can_sign = |key: &&Arc<CertifiedKey>| {
            let schemes = hello.signature_schemes();
            key.key.choose_scheme(schemes).is_some()
        };
        self.0.iter().find(can_sign).or(self.0.first()).cloned()
    }
}

fn serve(socket: TcpStream, config: Arc<ServerConfig>, content: Content) -> Result<()> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut tls = StreamOwned::new(ServerConnection::new(config)?, socket);
    match content {
        Content::Echo => echo(&mut tls)?,
        Content::Page => page(&mut tls)?,
    }
    tls.conn.send_close_notify();
    tls.flush()?;
    Ok(())
}

fn echo(tls: &mut (impl Read + Write)) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match tls.read(&mut buffer)? {
            0 => return Ok(()),
            count => tls.write_all(&buffer[..count])?,
        }
    }
}

fn page(tls: &mut (impl Read + Write)) -> io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match tls.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&buffer[..count]),
        }
    }
    tls.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\nconnection: close\r\n\r\npage\n",
    )
}
