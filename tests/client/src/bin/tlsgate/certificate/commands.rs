//! What `tlsgate cert` does.

use super::{Described, file, make, store::Store};
use crate::{
    cli,
    show::{self, Working},
};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;
use tlsgate::Thumbprint;

/// The store of one's own certificates.
const PERSONAL: &str = "MY";

/// A certificate of a store, for `--json`.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    described: Described,
    /// Whether the store knows of a private key.
    key: bool,
}

/// Makes a certificate and prints its thumbprint, and nothing else, on the standard output.
pub fn new(options: &cli::NewCert) -> Result<()> {
    eprintln!("making an RSA key of 2,048 bits");
    let working = Working::on("making the key");
    let made = make::self_signed(options)?;
    drop(working);
    Store::machine(PERSONAL)?.add(&made, options.exportable)?;
    eprintln!(
        "a certificate for {}, good for {} days, is in the machine's store {PERSONAL}",
        options.name, options.days
    );
    tell(made.thumbprint)
}

/// Imports a certificate, and prints its thumbprint and nothing else.
pub fn import(options: &cli::Import) -> Result<()> {
    let path = options.file.display();
    let bytes = fs::read(&options.file).with_context(|| format!("cannot read {path}"))?;
    let store = Store::machine(&options.store)?;
    if let Some(der) = file::certificate(&bytes) {
        store.add_certificate(&der)?;
        eprintln!("imported a certificate without a key; a PKCS#12 file brings one");
        return tell(Thumbprint::of(&der));
    }
    let made =
        file::pkcs12(&bytes, &options.password).with_context(|| format!("cannot import {path}"))?;
    store.add(&made, options.exportable)?;
    eprintln!("imported a certificate with its key");
    tell(made.thumbprint)
}

fn tell(thumbprint: Thumbprint) -> Result<()> {
    show::print(&thumbprint.to_string())
}

/// Lists thumbprint, whether there is a private key, subject, and the last day.
pub fn list(store: &str, json: bool) -> Result<()> {
    let certificates = Store::machine(store)?.certificates();
    if json {
        let listed = certificates.iter().map(|certificate| Listed {
            described: Described::of(certificate.der()),
            key: certificate.has_key(),
        });
        return show::json(&listed.collect::<Vec<_>>());
    }
    if certificates.is_empty() {
        eprintln!("the store is empty; `tlsgate cert new` makes a test certificate");
    }
    for certificate in certificates {
        let key = if certificate.has_key() {
            "key   "
        } else {
            "no key"
        };
        let described = Described::of(certificate.der());
        show::print(&format!(
            "{}  {key}  {}  until {}",
            described.thumbprint,
            show::harmless(&certificate.subject()),
            described.last_day()
        ))?;
    }
    Ok(())
}

/// The certificates of a store that have a private key.
pub fn with_key(store: &str) -> Result<Vec<Described>> {
    let certificates = Store::machine(store)?.certificates();
    let with_key = certificates.iter().filter(|one| one.has_key());
    Ok(with_key.map(|one| Described::of(one.der())).collect())
}

/// Why the driver has no use for this certificate; `None` where the store does not tell.
pub fn lacking(store: &str, thumbprint: Thumbprint) -> Option<String> {
    match Store::machine(store).ok()?.find(thumbprint) {
        None => Some(not_there(store, thumbprint)),
        Some(certificate) if !certificate.has_key() => Some(format!(
            "certificate {thumbprint} has no private key here: `tlsgate cert import` takes a PKCS#12 \
             file with its key"
        )),
        Some(_) => None,
    }
}

fn not_there(store: &str, thumbprint: Thumbprint) -> String {
    format!(
        "there is no certificate {thumbprint} in the machine's store {store}: `tlsgate cert list \
         --store {store}` lists those that are there, `tlsgate cert new` makes one"
    )
}

/// Removes a certificate and its private key.
pub fn remove(thumbprint: Thumbprint, store: &str) -> Result<()> {
    let name = store;
    let store = Store::machine(store)?;
    let certificate = store
        .find(thumbprint)
        .with_context(|| not_there(name, thumbprint))?;
    certificate
        .delete_key()
        .context("cannot delete the private key")?;
    certificate
        .delete()
        .context("cannot remove the certificate")?;
    store.commit().context("cannot write the store")?;
    eprintln!("removed {thumbprint}");
    Ok(())
}
