//! A credential that somebody owns: released when its last owner is gone.

use crate::{CredentialOptions, Driver, Error};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tlsgate_protocol::CredentialId;

/// The right to be a server, or a client, of TLS connections: certificates, and how peers are
/// checked. Schannel's credential handle, held by the driver (Microsoft's documentation of
/// `AcquireCredentialsHandle (Schannel)`).
///
/// Clones share it, and so do the configurations and streams that use it. When the last of them is
/// gone it is released, without anybody waiting for that; who wants to know calls
/// [`release`](Self::release).
#[derive(Clone)]
pub struct Credential(Arc<Held>);

struct Held {
    driver: Driver,
    id: CredentialId,
    released: AtomicBool,
}

impl Credential {
    /// Acquires what the options describe. The caller's identity at this moment is the one that the
    /// keys are used with, whoever uses the credential later.
    ///
    /// Whether the options say [`replaces`](CredentialOptions::replaces) makes no difference here:
    /// [`replace`](Self::replace) does that for a credential that has owners.
    ///
    /// # Errors
    ///
    /// The options cannot be, the driver refuses them, or the security subsystem finds no such
    /// certificate or no usable key ([`Error::Security`]).
    pub async fn acquire(driver: &Driver, options: &CredentialOptions) -> Result<Self, Error> {
        let id = driver.acquire(&options.clone().replaces_none()).await?;
        Ok(Self(Arc::new(Held {
            driver: driver.clone(),
            id,
            released: AtomicBool::new(false),
        })))
    }

    /// Has all owners use what the options describe from now on, for instance a renewed certificate.
    /// Connections that exist live on with what they began with.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire); then everything stays as it was.
    pub async fn replace(&self, options: &CredentialOptions) -> Result<(), Error> {
        let options = options.clone().replaces(self.id());
        self.driver().acquire(&options).await.map(drop)
    }

    /// Releases it now, for all owners: what exists lives on, and handshakes that begin from now on
    /// are refused. Says whether connections still use it; then it is freed with the last of them.
    ///
    /// # Errors
    ///
    /// The driver refuses: it has been released before, or the handle is being closed.
    pub async fn release(self) -> Result<bool, Error> {
        self.0.released.store(true, Ordering::Relaxed);
        self.driver().release(self.id()).await
    }

    /// The handle of the driver that it is valid on.
    #[must_use]
    pub fn driver(&self) -> &Driver {
        &self.0.driver
    }

    /// Its id there, for the functions of [`Driver`].
    #[must_use]
    pub fn id(&self) -> CredentialId {
        self.0.id
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !*self.released.get_mut() {
            self.driver.release_unheard(self.id);
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credential").field(&self.id()).finish()
    }
}
