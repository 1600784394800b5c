//! Who is let in, and who is not: chains, names, certificates of clients.

use crate::selftest::{
    peer::{self, Version},
    pki::{Identity, NAME, reference},
    site::{Site, end, exchange, why},
};
use anyhow::{Result, bail, ensure};
use rustls::pki_types::CertificateDer;
use std::sync::Arc;
use tlsgate::{CredentialOptions, Error, describe_security_status};

/// Bytes each way after a handshake.
const SOME: usize = 100;

pub async fn clients_are_known(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options =
        CredentialOptions::server(reference(&site.pki.server)).request_client_certificate();
    let server = handle.server(&options).await?.demanding();
    let identity = &site.pki.peer_client;
    for version in [Version::Tls12, Version::Tls13] {
        let peer = Arc::new(peer::client_with(&site.pki, version, identity)?);
        let (mut ours, mut theirs) = server.meet(&peer, NAME).await?;
        shown(&ours.connection().certificates, identity)?;
        exchange(&mut ours, &mut theirs, SOME).await?;
        end(ours, theirs).await?;
    }
    Ok(String::new())
}

fn shown(certificates: &[CertificateDer<'_>], due: &Identity) -> Result<()> {
    ensure!(
        certificates.first() == Some(&due.certificate),
        "the driver tells {} certificates, not the one that the peer has shown",
        certificates.len()
    );
    Ok(())
}

pub async fn no_client_certificate(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options =
        CredentialOptions::server(reference(&site.pki.server)).request_client_certificate();
    let server = handle.server(&options).await?.demanding();
    let mut told = Vec::new();
    for version in [Version::Tls12, Version::Tls13] {
        let peer = Arc::new(peer::client(&site.pki, version)?);
        match why(server.try_meet(&peer, NAME).await?.0)? {
            Error::NoClientCertificate => told.push("refused by the library".to_owned()),
            Error::Handshake { status, .. } => told.push(describe_security_status(status)),
            error => bail!("{version:?}: {error}"),
        }
    }
    Ok(told.join("; "))
}

pub async fn strange_client(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options =
        CredentialOptions::server(reference(&site.pki.server)).request_client_certificate();
    let server = handle.server(&options).await?.demanding();
    let identity = &site.pki.strange_client;
    let peer = Arc::new(peer::client_with(&site.pki, Version::Tls13, identity)?);
    match why(server.try_meet(&peer, NAME).await?.0)? {
        Error::ClientCertificate(Some(check)) => Ok(describe_security_status(check.result)),
        Error::ClientCertificate(None) => Ok("this Windows does not tell".into()),
        Error::Handshake { status, .. } => Ok(describe_security_status(status)),
        error => Err(error.into()),
    }
}

pub async fn shows_its_certificate(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::client().certificate(reference(&site.pki.client));
    let client = handle.client(&options).await?;
    for version in [Version::Tls12, Version::Tls13] {
        let peer = peer::demanding_server(&site.pki, version, &site.pki.peer)?;
        let (mut ours, mut theirs) = client.meet(&Arc::new(peer), NAME).await?;
        let shown = theirs.get_ref().1.peer_certificates().unwrap_or_default();
        ensure!(
            shown.first().map(|it| &**it) == Some(&*site.pki.client.der),
            "{version:?}: the peer got {} certificates, not the client's",
            shown.len()
        );
        exchange(&mut ours, &mut theirs, SOME).await?;
        end(ours, theirs).await?;
    }
    Ok(String::new())
}

pub async fn manual_check(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let client = handle
        .client(&CredentialOptions::client().manual_check())
        .await?;
    let peer = Arc::new(peer::server(Version::Tls13, &site.pki.stranger)?);
    let (mut ours, mut theirs) = client.meet(&peer, NAME).await?;
    let connection = ours.connection();
    shown(&connection.certificates, &site.pki.stranger)?;
    let told = match connection.check {
        Some(check) if check.is_good() => bail!("a stranger's certificate is called good"),
        Some(check) => describe_security_status(check.result),
        None => "this Windows does not tell".into(),
    };
    exchange(&mut ours, &mut theirs, SOME).await?;
    end(ours, theirs).await?;
    Ok(told)
}

pub async fn wrong_name(site: &Site) -> Result<String> {
    not_let_in(site, &site.pki.other_peer).await
}

pub async fn untrusted_root(site: &Site) -> Result<String> {
    not_let_in(site, &site.pki.stranger).await
}

/// The driver's client does not connect to a server that shows this; that it connects to others is
/// seen first.
async fn not_let_in(site: &Site, shown: &Identity) -> Result<String> {
    let handle = site.handle()?;
    let client = handle.client(&CredentialOptions::client()).await?;
    let mut told = Vec::new();
    for version in [Version::Tls12, Version::Tls13] {
        let good = Arc::new(peer::server(version, &site.pki.peer)?);
        let (ours, theirs) = client.meet(&good, NAME).await?;
        end(ours, theirs).await?;
        // A client of its own: what is resumed is not checked again.
        let client = handle.client(&CredentialOptions::client()).await?;
        let bad = Arc::new(peer::server(version, shown)?);
        match why(client.try_meet(&bad, NAME).await?.0)? {
            Error::Handshake { status, .. } => told.push(describe_security_status(status)),
            error => bail!("{version:?}: {error}"),
        }
    }
    told.dedup();
    Ok(told.join("; "))
}
