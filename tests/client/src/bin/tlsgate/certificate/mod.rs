//! `tlsgate cert`: certificates of the machine's stores.

mod blob;
mod file;
#[cfg(windows)]
mod key;
#[cfg(windows)]
mod legacy;
mod make;
#[cfg(windows)]
mod store;

#[cfg(windows)]
pub use commands::{import, list, new, remove, trust};

#[cfg(windows)]
mod commands {
    use super::{file, make, store::Store};
    use crate::cli;
    use anyhow::{Context, Result};
    use std::{fs, io::Write, path::Path};
    use tlsgate_client::Thumbprint;

    /// The store of one's own certificates.
    const PERSONAL: &str = "MY";

    /// The store of trusted roots.
    const ROOTS: &str = "ROOT";

    /// Makes a certificate and prints its thumbprint, and nothing else, on the standard output.
    pub fn new(options: &cli::NewCert) -> Result<()> {
        eprintln!("making an RSA key of 2,048 bits");
        let made = make::self_signed(options)?;
        Store::machine(PERSONAL)?.add(&made, options.exportable)?;
        tell(made.thumbprint)
    }

    /// Imports a certificate with its key, and prints its thumbprint and nothing else.
    pub fn import(options: &cli::Import) -> Result<()> {
        let bytes = read(&options.file)?;
        let made = file::pkcs12(&bytes, &options.password)
            .with_context(|| format!("cannot import {}", options.file.display()))?;
        Store::machine(PERSONAL)?.add(&made, options.exportable)?;
        tell(made.thumbprint)
    }

    /// Trusts a certificate as a root, and prints its thumbprint and nothing else.
    pub fn trust(path: &Path) -> Result<()> {
        let der = file::certificate(&read(path)?)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Store::machine(ROOTS)?.add_certificate(&der)?;
        tell(Thumbprint::of(&der))
    }

    fn read(path: &Path) -> Result<Vec<u8>> {
        fs::read(path).with_context(|| format!("cannot read {}", path.display()))
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
