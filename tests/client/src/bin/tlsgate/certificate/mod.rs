//! `tlsgate cert`: certificates of the machine's stores.

mod blob;
#[cfg(windows)]
mod commands;
mod describe;
mod file;
#[cfg(windows)]
mod key;
#[cfg(windows)]
mod legacy;
pub mod make;
#[cfg(windows)]
pub mod store;

#[cfg(windows)]
pub use commands::{import, lacking, list, new, remove, with_key};
pub use describe::Described;
#[cfg(not(windows))]
pub use elsewhere::{lacking, with_key};

/// There are no stores elsewhere.
#[cfg(not(windows))]
mod elsewhere {
    use super::Described;
    use anyhow::{Result, bail};
    use tlsgate::Thumbprint;

    pub fn with_key(_: &str) -> Result<Vec<Described>> {
        bail!("certificate stores are Windows'")
    }

    pub fn lacking(_: &str, _: Thumbprint) -> Option<String> {
        None
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
