//! Which certificate a server shows, and sessions that are resumed.

use crate::selftest::{
    peer::{self, Version},
    pki::{NAME, OTHER_NAME, reference},
    site::{Site, end, exchange},
};
use anyhow::{Result, ensure};
use rustls::{HandshakeKind, pki_types::CertificateDer};
use std::sync::Arc;
use tlsgate::CredentialOptions;

/// Bytes each way after a handshake.
const SOME: usize = 100;

pub async fn several(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server))
        .certificate(reference(&site.pki.other_server));
    let server = handle.server(&options).await?;
    let peer = Arc::new(peer::client(&site.pki, Version::Tls13)?);
    for (name, due) in [
        (NAME, &site.pki.server),
        (OTHER_NAME, &site.pki.other_server),
    ] {
        let (ours, theirs) = server.meet(&peer, name).await?;
        shows(theirs.get_ref().1.peer_certificates(), &due.der)?;
        end(ours, theirs).await?;
    }
    Ok(String::new())
}

pub async fn replaced(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let server = handle.server(&options).await?;
    let old = Arc::new(peer::client(&site.pki, Version::Tls13)?);
    let (mut before, mut their_before) = server.meet(&old, NAME).await?;
    let counted = handle.statistics().await?.credentials_replaced;

    let options = CredentialOptions::server(reference(&site.pki.other_server));
    server.credential.replace(&options).await?;
    let counted = handle.statistics().await?.credentials_replaced - counted;
    ensure!(counted == 1, "{counted} credentials were replaced");

    exchange(&mut before, &mut their_before, SOME).await?;
    // A client that has not been here: a session that is resumed shows no certificate.
    let new = Arc::new(peer::client(&site.pki, Version::Tls13)?);
    let (ours, theirs) = server.meet(&new, OTHER_NAME).await?;
    shows(
        theirs.get_ref().1.peer_certificates(),
        &site.pki.other_server.der,
    )?;
    exchange(&mut before, &mut their_before, SOME).await?;
    end(ours, theirs).await?;
    end(before, their_before).await?;
    Ok(String::new())
}

fn shows(shown: Option<&[CertificateDer<'_>]>, due: &[u8]) -> Result<()> {
    let shown = shown.unwrap_or_default();
    ensure!(
        shown.first().map(|it| &**it) == Some(due),
        "the peer got another certificate than its name asks for"
    );
    Ok(())
}

pub async fn server_resumes(site: &Site, version: Version) -> Result<String> {
    let handle = site.handle()?;
    let options =
        CredentialOptions::server(reference(&site.pki.server)).protocols(version.protocols());
    let server = handle.server(&options).await?;
    let peer = Arc::new(peer::client(&site.pki, version)?);
    for resumed in [false, true] {
        let (mut ours, mut theirs) = server.meet(&peer, NAME).await?;
        let kind = theirs.get_ref().1.handshake_kind();
        agree(resumed, ours.connection().resumed, kind)?;
        // With TLS 1.3 the ticket comes after the handshake.
        exchange(&mut ours, &mut theirs, SOME).await?;
        end(ours, theirs).await?;
    }
    Ok(String::new())
}

pub async fn client_resumes(site: &Site, version: Version) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::client().protocols(version.protocols());
    let client = handle.client(&options).await?;
    let peer = Arc::new(peer::server(version, &site.pki.peer)?);
    for resumed in [false, true] {
        let (mut ours, mut theirs) = client.meet(&peer, NAME).await?;
        let kind = theirs.get_ref().1.handshake_kind();
        agree(resumed, ours.connection().resumed, kind)?;
        exchange(&mut ours, &mut theirs, SOME).await?;
        end(ours, theirs).await?;
    }
    Ok(String::new())
}

fn agree(due: bool, ours: bool, theirs: Option<HandshakeKind>) -> Result<()> {
    let peer = theirs == Some(HandshakeKind::Resumed);
    ensure!(
        ours == due && peer == due,
        "resumed: {due} was due; the driver: {ours}, the peer: {theirs:?}"
    );
    Ok(())
}
