//! `tlsgate cert`: certificates of the machine's personal store.

mod blob;
#[cfg(windows)]
mod key;
#[cfg(windows)]
mod legacy;
mod make;
#[cfg(windows)]
mod store;

#[cfg(windows)]
pub use commands::{list, new, remove};

#[cfg(windows)]
mod commands {
    use super::{make, store::Store};
    use crate::cli;
    use anyhow::{Context, Result};
    use std::io::Write;
    use tlsgate_client::Thumbprint;

    /// Makes a certificate and prints its thumbprint, and nothing else, on the standard output.
    pub fn new(options: &cli::NewCert) -> Result<()> {
        eprintln!("making an RSA key of 2,048 bits");
        let made = make::self_signed(options)?;
        let store = Store::machine("MY")?;
        store.add(&made, options.exportable)?;
        let mut output = std::io::stdout().lock();
        writeln!(output, "{}", made.thumbprint)?;
        output.flush()?;
        Ok(())
    }

    /// Lists thumbprint, whether there is a private key, and subject.
    pub fn list() -> Result<()> {
        let certificates = Store::machine("MY")?.certificates();
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
    pub fn remove(thumbprint: Thumbprint) -> Result<()> {
        let store = Store::machine("MY")?;
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
