//! `tlsgate cert`: certificates of the machine's stores.

mod blob;
mod file;
#[cfg(windows)]
mod key;
#[cfg(windows)]
mod legacy;
pub mod make;
#[cfg(windows)]
pub mod store;

#[cfg(windows)]
pub use commands::{import, list, new, remove};

#[cfg(windows)]
mod commands {
    use super::{file, make, store::Store};
    use crate::cli;
    use anyhow::{Context, Result};
    use std::{fs, io::Write};
    use tlsgate::Thumbprint;

    /// The store of one's own certificates.
    const PERSONAL: &str = "MY";

    /// Makes a certificate and prints its thumbprint, and nothing else, on the standard output.
    pub fn new(options: &cli::NewCert) -> Result<()> {
        eprintln!("making an RSA key of 2,048 bits");
        let made = make::self_signed(options)?;
        Store::machine(PERSONAL)?.add(&made, options.exportable)?;
        tell(made.thumbprint)
    }

    /// Imports a certificate, and prints its thumbprint and nothing else.
    pub fn import(options: &cli::Import) -> Result<()> {
        let path = options.file.display();
        let bytes = fs::read(&options.file).with_context(|| format!("cannot read {path}"))?;
        let store = Store::machine(&options.store)?;
        if let Some(der) = file::certificate(&bytes) {
            store.add_certificate(&der)?;
            return tell(Thumbprint::of(&der));
        }
        let made = file::pkcs12(&bytes, &options.password)
            .with_context(|| format!("cannot import {path}"))?;
        store.add(&made, options.exportable)?;
        tell(made.thumbprint)
    }

    fn tell(thumbprint: Thumbprint) -> Result<()> {
        let mut output = std::io::stdout().lock();
        writeln!(output, "{thumbprint}")?;
        output.flush()?;
        Ok(())
    }

    /// Lists thumbprint, whether there is a private key, and subject.
    pub fn list(store: &str) -> Result<()> {
        let certificates = Store::machine(store)?.certificates();
        if certificates.is_empty() {
            eprintln!("the store is empty; `tlsgate cert new` makes a test certificate");
        }
        for certificate in certificates {
            let key = if certificate.has_key() {
                "key   "
            } else {
                "no key"
            };
            println!(
                "{}  {key}  {}",
                certificate.thumbprint(),
                certificate.subject()
            );
        }
        Ok(())
    }

    /// Removes a certificate and its private key.
    pub fn remove(thumbprint: Thumbprint, store: &str) -> Result<()> {
        let store = Store::machine(store)?;
        let certificate = store
            .find(thumbprint)
            .with_context(|| format!("there is no certificate {thumbprint}"))?;
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
}

/// The outcome of a Win32 function that returns a BOOL.
#[cfg(windows)]
fn check(done: i32) -> std::io::Result<()> {
    if done == 0 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Text as Win32 takes it.
#[cfg(windows)]
fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}
