//! OpenSSL as the client.

use crate::{
    flights::{Flights, whole},
    page::{self, Page},
};
use anyhow::{Context, Result, anyhow, ensure};
use openssl::{
    hash::MessageDigest,
    pkey::Id,
    ssl::{HandshakeError, SslConnector, SslMethod, SslStream, SslVerifyMode, SslVersion},
};
use std::{io, net::TcpStream};
use tlsgate_e2e::Lab;

/// The versions that the driver offers.
pub const VERSIONS: [SslVersion; 2] = [SslVersion::TLS1_3, SslVersion::TLS1_2];

/// A client of one TLS version.
#[derive(Clone)]
pub struct Client(SslConnector);

impl Client {
    /// One that offers this version and no application protocol.
    pub fn new(version: SslVersion) -> Result<Self> {
        Self::with_alpn(version, &[])
    }

    /// One that offers these application protocols, best first.
    pub fn with_alpn(version: SslVersion, protocols: &[&str]) -> Result<Self> {
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        builder.set_min_proto_version(Some(version))?;
        builder.set_max_proto_version(Some(version))?;
        // The certificate is self-signed: `is_the_lab_s` looks at it.
        builder.set_verify(SslVerifyMode::NONE);
        if !protocols.is_empty() {
            let mut list = Vec::new();
            for name in protocols {
                list.push(u8::try_from(name.len())?);
                list.extend_from_slice(name.as_bytes());
            }
            builder.set_alpn_protos(&list)?;
        }
        Ok(Self(builder.build()))
    }

    /// Shakes hands, every flight sent by `send`.
    pub fn connect<F>(&self, socket: TcpStream, send: F) -> Result<SslStream<Flights<F>>>
    where
        F: FnMut(&TcpStream, usize, &[u8]) -> io::Result<()>,
    {
        let flights = Flights::new(socket, send);
        self.0
            .connect("localhost", flights)
            .map_err(|error| match error {
                HandshakeError::SetupFailure(error) => error.into(),
                HandshakeError::Failure(stream) | HandshakeError::WouldBlock(stream) => {
                    anyhow!("no handshake: {}", stream.error())
                }
            })
    }

    /// Shakes hands and gets the page, every flight sent by `send`.
    pub fn page<F>(&self, socket: TcpStream, send: F) -> Result<Page>
    where
        F: FnMut(&TcpStream, usize, &[u8]) -> io::Result<()>,
    {
        let mut stream = self.connect(socket, send)?;
        let page = page::get(&mut stream)?;
        says_the_same(&page, &stream)?;
        Ok(page)
    }

    /// The first flight: a `ClientHello`.
    pub fn hello(&self, socket: TcpStream) -> Result<Vec<u8>> {
        let mut hello = Vec::new();
        let keep = |_: &TcpStream, _, flight: &[u8]| {
            hello.extend_from_slice(flight);
            Err(io::ErrorKind::ConnectionAborted.into())
        };
        ensure!(
            self.connect(socket, keep).is_err(),
            "a handshake without a peer"
        );
        ensure!(!hello.is_empty(), "no ClientHello");
        Ok(hello)
    }

    /// Shakes hands as clients do and gets the page.
    pub fn plainly(&self, socket: TcpStream) -> Result<Page> {
        self.page(socket, whole)
    }
}

/// Whether OpenSSL saw the same connection as the page describes.
pub fn says_the_same<S>(page: &Page, stream: &SslStream<S>) -> Result<()> {
    let ssl = stream.ssl();
    let cipher = ssl.current_cipher().context("no cipher")?;
    let [high, low] = cipher.protocol_id();
    let name = cipher.standard_name().context("a cipher without a name")?;
    let alpn = ssl.selected_alpn_protocol().map(String::from_utf8_lossy);
    for (fact, seen) in [
        ("protocol", ssl.version_str().to_owned()),
        ("cipher suite", format!("{name} (0x{high:02X}{low:02X})")),
        (
            "application protocol",
            alpn.unwrap_or("none".into()).into_owned(),
        ),
        ("session", "established".to_owned()),
    ] {
        let told = page.fact(fact)?;
        ensure!(told == seen, "{fact}: the page says {told}, OpenSSL {seen}");
    }
    Ok(())
}

/// Whether the peer's certificate is the one that the server was told to use.
pub fn is_the_lab_s<S>(stream: &SslStream<S>, lab: &Lab) -> Result<()> {
    let certificate = stream.ssl().peer_certificate().context("no certificate")?;
    let digest = certificate.digest(MessageDigest::sha1())?;
    let thumbprint: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    let thumbprint = thumbprint.concat();
    ensure!(
        thumbprint.eq_ignore_ascii_case(lab.thumbprint()),
        "certificate {thumbprint}, not {}",
        lab.thumbprint()
    );
    ensure!(certificate.public_key()?.id() == Id::RSA, "not an RSA key");
    Ok(())
}
