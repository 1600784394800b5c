//! How connections end, and how they fail.

use crate::selftest::{
    memory,
    peer::{self, Version},
    pki::{NAME, reference},
    site::{Site, noise, sockets},
};
use anyhow::{Context, Result, bail, ensure};
use std::{io, sync::Arc};
use tlsgate::CredentialOptions;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The first byte of a TLS record that is an alert (RFC 8446, section 5.1).
const ALERT: u8 = 21;

/// Where a `ClientHello` in its record says how long its `legacy_session_id` is: behind the heads of
/// record and message, version and random. More than 32 is an error (RFC 8446, section 4.1.2).
const SESSION_ID_LENGTH: usize = 5 + 4 + 2 + 32;

pub async fn peer_ends(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let server = handle.server(&options).await?;
    for version in [Version::Tls12, Version::Tls13] {
        let peer = Arc::new(peer::client(&site.pki, version)?);
        let (mut ours, mut theirs) = server.meet(&peer, NAME).await?;
        theirs.write_all(b"last words").await?;
        theirs.shutdown().await?;
        let mut heard = Vec::new();
        ours.read_to_end(&mut heard)
            .await
            .context("close_notify is no end")?;
        ensure!(heard == b"last words", "the driver heard {heard:?}");
        ours.close().await?;

        let (mut ours, theirs) = server.meet(&peer, NAME).await?;
        // Without close_notify it may be an attacker who ends the connection.
        drop(theirs);
        cut(&mut ours).await?;
    }
    Ok(String::new())
}

async fn cut(ours: &mut (impl AsyncRead + Unpin)) -> Result<()> {
    match ours.read(&mut [0]).await {
        Err(error) if is_cut(&error) => Ok(()),
        Err(error) => Err(error).context("a connection that was cut off"),
        Ok(length) => bail!("a connection that was cut off: {length} bytes, as at an end"),
    }
}

fn is_cut(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
    )
}

pub async fn driver_ends(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let server = handle.server(&options).await?;
    for version in [Version::Tls12, Version::Tls13] {
        let peer = Arc::new(peer::client(&site.pki, version)?);
        let (mut ours, mut theirs) = server.meet(&peer, NAME).await?;
        ours.write_all(b"last words").await?;
        ours.shutdown().await?;
        let mut heard = Vec::new();
        // rustls calls an end without close_notify an error.
        theirs
            .read_to_end(&mut heard)
            .await
            .with_context(|| format!("{version:?}: the peer hears no close_notify"))?;
        ensure!(heard == b"last words", "the peer heard {heard:?}");
        let refused = ours.write_all(b"more").await.err().map(|it| it.kind());
        ensure!(
            refused == Some(io::ErrorKind::BrokenPipe),
            "written after the end: {refused:?}"
        );
    }
    Ok(String::new())
}

/// What is no TLS, and TLS that is damaged.
pub async fn garbage(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let server = handle.server(&options).await?;
    let mut damaged = memory::hello(&site.pki)?;
    damaged[SESSION_ID_LENGTH] = 0xFF;
    let all = [
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
        ("random bytes", noise(300, 3)),
        ("a damaged ClientHello", damaged),
        (
            "data before a handshake",
            [&[23, 3, 3, 0, 16][..], &noise(16, 4)].concat(),
        ),
    ];
    let mut told = Vec::new();
    for (what, bytes) in all {
        let (near, mut far) = sockets().await?;
        far.write_all(&bytes).await?;
        let (taken, heard) = tokio::join!(refusal(server.accept(near)), answer(&mut far));
        ensure!(taken, "{what}: it became a connection");
        let heard = heard.context(what)?;
        let answer = match heard.first() {
            None => "a close",
            Some(&ALERT) => "an alert",
            Some(_) => bail!("{what}: the answer is no alert: {heard:?}"),
        };
        told.push(format!("{what}: {answer}"));
    }
    Ok(told.join(", "))
}

async fn refusal<T, E>(accepting: impl Future<Output = Result<T, E>>) -> bool {
    accepting.await.is_err()
}

/// Everything that comes until the end; a reset is an end, too.
async fn answer(far: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut heard = Vec::new();
    match far.read_to_end(&mut heard).await {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
        _ => Ok(heard),
    }
}
