//! Handshakes that succeed, and application protocols.

use crate::selftest::{
    peer::{self, Version},
    pki::{NAME, reference},
    site::{Ours, Site, end, exchange, why},
};
use anyhow::{Result, bail, ensure};
use rustls::{AlertDescription, CommonState};
use std::{io, sync::Arc};
use tlsgate::{CredentialOptions, Error};

/// Bytes each way after a handshake.
const SOME: usize = 100;

pub async fn as_server(site: &Site, version: Version) -> Result<String> {
    let handle = site.handle()?;
    let options =
        CredentialOptions::server(reference(&site.pki.server)).protocols(version.protocols());
    let server = handle.server(&options).await?;
    let peer = Arc::new(peer::client(&site.pki, version)?);
    let (mut ours, mut theirs) = server.meet(&peer, NAME).await?;
    let told = same(&ours, theirs.get_ref().1, version)?;
    exchange(&mut ours, &mut theirs, SOME).await?;
    end(ours, theirs).await?;
    server.release().await?;
    Ok(told)
}

pub async fn as_client(site: &Site, version: Version) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::client().protocols(version.protocols());
    let client = handle.client(&options).await?;
    let peer = Arc::new(peer::server(version, &site.pki.peer)?);
    let (mut ours, mut theirs) = client.meet(&peer, NAME).await?;
    let told = same(&ours, theirs.get_ref().1, version)?;
    let shown = &ours.connection().certificates;
    ensure!(
        shown.first() == Some(&site.pki.peer.certificate),
        "the driver tells another certificate than the peer has shown"
    );
    if let Some(check) = ours.connection().check {
        ensure!(check.is_good(), "let in, and found fault with: {check:?}");
    }
    exchange(&mut ours, &mut theirs, SOME).await?;
    end(ours, theirs).await?;
    client.release().await?;
    Ok(told)
}

/// Whether both sides tell the same of the connection; gives what.
fn same(ours: &Ours, theirs: &CommonState, version: Version) -> Result<String> {
    let connection = ours.connection();
    let (protocol, suite) = (
        theirs.protocol_version().map(u16::from),
        theirs
            .negotiated_cipher_suite()
            .map(|it| u16::from(it.suite())),
    );
    ensure!(
        connection.protocol == u32::from(version.number()) && protocol == Some(version.number()),
        "{version:?} was due; the driver: {:#x}, the peer: {protocol:x?}",
        connection.protocol
    );
    ensure!(
        suite.map(u32::from) == Some(connection.cipher_suite),
        "cipher suites: the driver: {:#x}, the peer: {suite:x?}",
        connection.cipher_suite
    );
    Ok(format!(
        "{}, {}, {}",
        connection.protocol_name(),
        connection.cipher_suite_name(),
        connection.key_exchange_name()
    ))
}

pub async fn alpn(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let server = handle.server(&options).await?.offering(&["http/1.1", "h2"]);
    let mut peer = peer::client(&site.pki, Version::Tls13)?;
    peer.alpn_protocols = vec![b"other".to_vec(), b"h2".to_vec()];
    let (ours, theirs) = server.meet(&Arc::new(peer), NAME).await?;
    agreed(&ours, theirs.get_ref().1, "h2")?;
    end(ours, theirs).await?;

    let client = handle.client(&CredentialOptions::client()).await?;
    let client = client.offering(&["h2", "http/1.1"]);
    let mut peer = peer::server(Version::Tls13, &site.pki.peer)?;
    peer.alpn_protocols = vec![b"http/1.1".to_vec()];
    let (ours, theirs) = client.meet(&Arc::new(peer), NAME).await?;
    agreed(&ours, theirs.get_ref().1, "http/1.1")?;
    end(ours, theirs).await?;
    Ok("h2 as a server, http/1.1 as a client".into())
}

fn agreed(ours: &Ours, theirs: &CommonState, due: &str) -> Result<()> {
    let ours = ours.connection().alpn.as_deref();
    let due = Some(due.as_bytes());
    ensure!(
        ours == due && theirs.alpn_protocol() == due,
        "{due:?} was due; the driver: {ours:?}, the peer: {:?}",
        theirs.alpn_protocol()
    );
    Ok(())
}

pub async fn no_common_alpn(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let server = handle.server(&options).await?.offering(&["h2"]);
    let mut peer = peer::client(&site.pki, Version::Tls13)?;
    peer.alpn_protocols = vec![b"other".to_vec()];
    let (ours, theirs) = server.try_meet(&Arc::new(peer), NAME).await?;
    let status = match why(ours)? {
        Error::Handshake { status, .. } => status,
        error => bail!("the handshake failed otherwise: {error}"),
    };
    let alert = alert(theirs)?;
    // RFC 7301, section 3.2.
    ensure!(
        alert == AlertDescription::NoApplicationProtocol,
        "the peer got the alert {alert:?}"
    );
    Ok(tlsgate::describe_security_status(status))
}

/// The alert that the peer got in place of a connection.
pub fn alert<T>(theirs: io::Result<T>) -> Result<AlertDescription> {
    let Err(error) = theirs else {
        bail!("the peer is connected");
    };
    let inner = error
        .get_ref()
        .and_then(|it| it.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(alert)) => Ok(*alert),
        _ => bail!("the peer got no alert: {error}"),
    }
}
