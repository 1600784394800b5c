//! What every thread of the load knows: where servers are, whom clients trust, what they show.

use crate::{
    client::VERSIONS,
    pki::{Identity, Kind, NAME, Pki, Purpose},
    tally::Tally,
};
use anyhow::{Context as _, Result};
use openssl::ssl::{
    HandshakeError, SslConnector, SslMethod, SslSession, SslStream, SslVerifyMode, SslVersion,
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long an honest peer has patience with each step of the other side.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The names of the server that has several certificates.
pub const NAMES: [&str; 3] = [NAME, "one.test", "two.test"];

/// Where the program's servers and clients on the machine listen.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Serves the page.
    pub page: SocketAddr,
    /// Sends back what comes.
    pub echo: SocketAddr,
    /// The same for clients whose certificates are good, and no others.
    pub mutual: SocketAddr,
    /// Serves the page with a certificate for each of [`NAMES`].
    pub names: SocketAddr,
    /// Serves the page to clients that are quick.
    pub strict: SocketAddr,
    /// Carries connections to OpenSSL.
    pub to_host: SocketAddr,
    /// Carries connections to OpenSSL that demands a certificate.
    pub to_demanding: SocketAddr,
    /// Carries connections to servers that are up to no good.
    pub to_hostile: SocketAddr,
    /// Carries connections to `echo`.
    pub to_driver: SocketAddr,
}

/// All of it.
pub struct World {
    /// Where to connect to.
    pub at: Addresses,
    /// Where everything is counted.
    pub tally: Arc<Tally>,
    /// Thumbprints of the certificates for [`NAMES`].
    pub thumbprints: [String; 3],
    /// Of each of [`VERSIONS`], without a certificate and with one.
    connectors: [[SslConnector; 2]; 2],
}

impl World {
    /// Clients that trust what the machine's servers show.
    pub fn new(
        at: &Addresses,
        pki: &Pki,
        tally: Arc<Tally>,
        thumbprints: [String; 3],
    ) -> Result<Self> {
        let own = pki
            .trusted
            .issue("client.test", Kind::Ecdsa, Purpose::Client)?;
        let make = |version, own| connector(pki, version, own);
        let both =
            |version| Ok::<_, anyhow::Error>([make(version, None)?, make(version, Some(&own))?]);
        Ok(Self {
            at: *at,
            tally,
            thumbprints,
            connectors: [both(VERSIONS[0])?, both(VERSIONS[1])?],
        })
    }

    /// An honest client's connection: shakes hands with the server of this name, and counts how long
    /// that took. A session is offered, if there is one.
    pub fn connect<S: Read + Write>(&self, wanted: &Wanted, socket: S) -> Result<SslStream<S>> {
        let version = usize::from(wanted.version == VERSIONS[1]);
        let connector = &self.connectors[version][usize::from(wanted.certificate)];
        let mut ssl = connector.configure()?.into_ssl(wanted.name)?;
        if let Some(session) = wanted.session {
            // SAFETY: the session is of a connection of the same connector, as `Wanted` says.
            unsafe { ssl.set_session(session)? };
        }
        let started = Instant::now();
        let stream = ssl.connect(socket).map_err(|error| match error {
            HandshakeError::SetupFailure(error) => anyhow::Error::from(error),
            HandshakeError::Failure(stream) | HandshakeError::WouldBlock(stream) => {
                anyhow::Error::from(stream.into_error())
            }
        });
        let stream = stream.context("no handshake")?;
        self.tally.handshake(wanted.kind, started.elapsed());
        Ok(stream)
    }
}

/// What a client wants of a handshake.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// What it is counted as.
    pub kind: &'static str,
    /// One of [`VERSIONS`].
    pub version: SslVersion,
    /// The server's name.
    pub name: &'a str,
    /// Whether it shows a certificate.
    pub certificate: bool,
    /// Resumed if the server likes; of a connection with the same version and `certificate`.
    pub session: Option<&'a SslSession>,
}

impl Wanted<'_> {
    /// The usual server, without a certificate.
    pub fn plain(kind: &'static str, version: SslVersion) -> Self {
        Self {
            kind,
            version,
            name: NAME,
            certificate: false,
            session: None,
        }
    }
}

/// A new connection to a server, with an honest peer's patience.
pub fn dial(server: SocketAddr) -> Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&server, PATIENCE).context("connecting")?;
    patient(&socket)?;
    Ok(socket)
}

/// Gives a connection an honest peer's patience.
pub fn patient(socket: &TcpStream) -> Result<()> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(())
}

fn connector(pki: &Pki, version: SslVersion, own: Option<&Identity>) -> Result<SslConnector> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(version))?;
    builder.set_max_proto_version(Some(version))?;
    builder.set_verify(SslVerifyMode::PEER);
    let trusted = pki.trusted.certificate();
    builder.cert_store_mut().add_cert(trusted.clone())?;
    if let Some(own) = own {
        builder.set_certificate(&own.certificate)?;
        builder.set_private_key(&own.key)?;
        builder.add_extra_chain_cert(trusted.clone())?;
    }
    Ok(builder.build())
}
