//! A run's certificates in the machine's stores: put there, and removed again whatever happens.

use super::pki::{PREFIX, Pki};
use crate::certificate::store::Store;
use anyhow::{Context, Result};

/// One's own certificates, and the roots that the machine trusts.
const STORES: [&str; 2] = ["MY", "ROOT"];

/// They are in the stores as long as this exists.
pub struct Stored(());

impl Stored {
    /// Puts them there, and removes what a run that was killed has left.
    pub fn put(pki: &Pki, exportable: bool) -> Result<Self> {
        clear()?;
        // From here on they are removed, be it only some of them.
        let stored = Self(());
        let [own, roots] = STORES.map(Store::machine);
        let (own, roots) = (own?, roots?);
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

/// Removes every certificate of a run, with its key.
fn clear() -> Result<()> {
    for name in STORES {
        let store = Store::machine(name)?;
        for certificate in store.certificates() {
            if certificate.subject().starts_with(PREFIX) {
                certificate
                    .delete_key()
                    .context("cannot delete a test key")?;
                certificate
                    .delete()
                    .context("cannot remove a test certificate")?;
            }
        }
        store
            .commit()
            .with_context(|| format!("cannot write the store {name}"))?;
    }
    Ok(())
}
