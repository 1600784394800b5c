//! Credentials by the options of the command line.

use crate::{certificate, cli};
use anyhow::{Context, Result};
use tlsgate::{Certificate, Credential, CredentialOptions, Driver, Protocols, Thumbprint};

/// A server's, with these certificates.
pub fn server(options: &cli::Serve, certificates: &[Thumbprint]) -> Result<CredentialOptions> {
    let mut places = places(&options.credential, certificates);
    let first = places.next().context("a server needs a certificate")?;
    let credential = places.fold(
        CredentialOptions::server(first),
        CredentialOptions::certificate,
    );
    let mut credential = common(credential, &options.credential);
    if let Some(name) = &options.principal {
        credential = credential.principal(name);
    }
    if options.no_resumption {
        credential = credential.no_resumption();
    }
    Ok(match options.client_auth {
        cli::Clients::None => credential,
        cli::Clients::Request | cli::Clients::Require => credential.request_client_certificate(),
    })
}

/// A client's.
pub fn client(options: &cli::Client) -> CredentialOptions {
    let credential = places(&options.credential, &options.cert)
        .fold(CredentialOptions::client(), CredentialOptions::certificate);
    let credential = common(credential, &options.credential);
    if options.manual_check {
        credential.manual_check()
    } else {
        credential
    }
}

/// Acquires it; the error names the certificates, and says which of them the store lacks.
pub async fn acquire(
    driver: &Driver,
    options: &CredentialOptions,
    certificates: &[Thumbprint],
    common: &cli::Credential,
) -> Result<Credential> {
    Credential::acquire(driver, options)
        .await
        .with_context(|| failure(certificates, common))
}

/// Has it use other certificates; the error names them.
pub async fn replace(
    credential: &Credential,
    options: &CredentialOptions,
    certificates: &[Thumbprint],
    common: &cli::Credential,
) -> Result<()> {
    credential
        .replace(options)
        .await
        .with_context(|| failure(certificates, common))
}

/// The certificates that there is no credential from, and what is wrong with them.
fn failure(certificates: &[Thumbprint], common: &cli::Credential) -> String {
    let names: Vec<_> = certificates.iter().map(ToString::to_string).collect();
    let what = match names.len() {
        0 => "no credential".to_owned(),
        1 => format!("no credential from certificate {}", names.concat()),
        _ => format!("no credential from certificates {}", names.join(", ")),
    };
    let lacking = certificates
        .iter()
        .find_map(|thumbprint| certificate::lacking(common.store_name(), *thumbprint));
    match lacking {
        Some(lacking) => format!("{what}; {lacking}"),
        None => what,
    }
}

fn places(
    options: &cli::Credential,
    certificates: &[Thumbprint],
) -> impl Iterator<Item = Certificate> {
    certificates.iter().map(|thumbprint| Certificate {
        store: options.store.clone(),
        ..Certificate::machine(*thumbprint)
    })
}

fn common(mut credential: CredentialOptions, options: &cli::Credential) -> CredentialOptions {
    if let Some(version) = options.tls {
        credential = credential.protocols(match version {
            cli::Version::Tls12 => Protocols::TLS1_2,
            cli::Version::Tls13 => Protocols::TLS1_3,
        });
    }
    if let Some(how) = options.revocation {
        credential = credential.revocation(how.into());
    }
    if options.ignore_no_revocation {
        credential = credential.ignore_no_revocation();
    }
    if options.ignore_revocation_offline {
        credential = credential.ignore_revocation_offline();
    }
    credential
}
