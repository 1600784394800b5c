//! A run's certificates in the machine's stores: put there, and removed again at the run's end, be it a
//! failure or Ctrl-C. What a run has left that was killed, or that panicked, the next one removes.

use super::pki::{PREFIX, Pki};
use crate::certificate::store::{Store, StoredCertificate};
use anyhow::{Context, Result};

/// The roots that the machine trusts, which must not stay, and one's own certificates.
const STORES: [&str; 2] = ["ROOT", "MY"];

/// They are in the stores as long as this exists.
pub struct Stored(());

impl Stored {
    /// Puts them there, and removes what a run that was killed has left.
    pub fn put(pki: &Pki, exportable: bool) -> Result<Self> {
        clear()?;
        // From here on they are removed, be it only some of them.
        let stored = Self(());
        let [roots, own] = STORES.map(Store::machine);
        let (roots, own) = (roots?, own?);
        for made in pki.stored() {
            own.add(made, exportable)?;
        }
        roots.add_certificate(&pki.root)?;
        Ok(stored)
    }

    /// Removes them.
    pub fn remove(self) -> Result<()> {
        std::mem::forget(self);
        clear()
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if let Err(error) = clear() {
            eprintln!(
                "tlsgate: certificates named \"{PREFIX}...\" are left in {STORES:?}: {error:#}"
            );
        }
    }
}

/// Removes every certificate of a run, with its key. A failure does not keep it from the others; the
/// first one is given back.
fn clear() -> Result<()> {
    STORES.map(clear_store).into_iter().collect()
}

fn clear_store(name: &str) -> Result<()> {
    let store = Store::machine(name)?;
    let mut all = store.certificates();
    all.retain(|certificate| certificate.subject().starts_with(PREFIX));
    let mut outcomes: Vec<Result<()>> = all.into_iter().map(remove).collect();
    let written = store.commit();
    outcomes.push(written.with_context(|| format!("cannot write the store {name}")));
    outcomes.into_iter().collect()
}

/// One whose key cannot be deleted stays: it is what tells where the key is.
fn remove(certificate: StoredCertificate) -> Result<()> {
    certificate
        .delete_key()
        .context("cannot delete a test key")?;
    certificate
        .delete()
        .context("cannot remove a test certificate")
}
