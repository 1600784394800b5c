//! Application data: much of it, in tiny pieces, and across new keys.

use crate::selftest::{
    peer::{self, Version},
    pki::{NAME, reference},
    site::{Ours, Site, end, exchange, sockets},
};
use anyhow::Result;
use rustls::pki_types::ServerName;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tlsgate::CredentialOptions;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Bytes each way: more than one SEAL takes.
const MUCH: usize = 1024 * 1024;
const SOME: usize = 100;

/// How often each side changes its keys.
const UPDATES: usize = 3;

pub async fn much_as_server(site: &Site) -> Result<String> {
    for version in [Version::Tls12, Version::Tls13] {
        let handle = site.handle()?;
        let options = CredentialOptions::server(reference(&site.pki.server));
        let server = handle.server(&options).await?;
        let peer = Arc::new(peer::client(&site.pki, version)?);
        let (mut ours, mut theirs) = server.meet(&peer, NAME).await?;
        exchange(&mut ours, &mut theirs, MUCH).await?;
        end(ours, theirs).await?;
    }
    Ok(String::new())
}

pub async fn much_as_client(site: &Site) -> Result<String> {
    for version in [Version::Tls12, Version::Tls13] {
        let handle = site.handle()?;
        let client = handle.client(&CredentialOptions::client()).await?;
        let peer = Arc::new(peer::server(version, &site.pki.peer)?);
        let (mut ours, mut theirs) = client.meet(&peer, NAME).await?;
        exchange(&mut ours, &mut theirs, MUCH).await?;
        end(ours, theirs).await?;
    }
    Ok(String::new())
}

/// The driver gets the peer's stream a byte at a time.
pub async fn byte_by_byte(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let server = handle.server(&options).await?;
    let client = handle.client(&CredentialOptions::client()).await?;
    for version in [Version::Tls12, Version::Tls13] {
        let peer = Arc::new(peer::client(&site.pki, version)?);
        let connector = tokio_rustls::TlsConnector::from(peer);
        let (near, far) = sockets().await?;
        let (mut ours, mut theirs) = tokio::try_join!(
            async {
                server
                    .accept(ByteByByte(near))
                    .await
                    .map_err(anyhow::Error::from)
            },
            async { Ok(connector.connect(ServerName::try_from(NAME)?, far).await?) },
        )?;
        exchange(&mut ours, &mut theirs, SOME).await?;

        let peer = Arc::new(peer::server(version, &site.pki.peer)?);
        let acceptor = tokio_rustls::TlsAcceptor::from(peer);
        let (near, far) = sockets().await?;
        let (mut ours, mut theirs) = tokio::try_join!(
            async {
                client
                    .connect(NAME, ByteByByte(near))?
                    .await
                    .map_err(anyhow::Error::from)
            },
            async { Ok(acceptor.accept(far).await?) },
        )?;
        exchange(&mut ours, &mut theirs, SOME).await?;
    }
    Ok(String::new())
}

/// A socket whose reads bring one byte.
struct ByteByByte(TcpStream);

impl AsyncRead for ByteByByte {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut one))?;
        buffer.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteByByte {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// The peer updates its keys and asks the driver to do the same (RFC 8446, section 4.6.3).
pub async fn key_update(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let server = handle.server(&options).await?;
    let peer = Arc::new(peer::client(&site.pki, Version::Tls13)?);
    let (mut ours, mut theirs) = server.meet(&peer, NAME).await?;
    for _ in 0..UPDATES {
        theirs.get_mut().1.refresh_traffic_keys()?;
        exchange(&mut ours, &mut theirs, SOME).await?;
    }
    end(ours, theirs).await?;

    let client = handle.client(&CredentialOptions::client()).await?;
    let peer = Arc::new(peer::server(Version::Tls13, &site.pki.peer)?);
    let (mut ours, mut theirs): (Ours, _) = client.meet(&peer, NAME).await?;
    for _ in 0..UPDATES {
        theirs.get_mut().1.refresh_traffic_keys()?;
        exchange(&mut ours, &mut theirs, SOME).await?;
    }
    end(ours, theirs).await?;
    Ok(format!("{UPDATES} by a client, {UPDATES} by a server"))
}
