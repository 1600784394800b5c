//! One session, from the moment the driver has named it until it is closed.

use crate::{Driver, Error};
use tlsgate_protocol::SessionId;

/// A session of the driver; closed when dropped.
pub struct Session {
    driver: Driver,
    id: SessionId,
    open: bool,
}

impl Session {
    pub(crate) const fn new(driver: Driver, id: SessionId) -> Self {
        Self {
            driver,
            id,
            open: true,
        }
    }

    /// The handle that it is valid on.
    pub(crate) const fn driver(&self) -> &Driver {
        &self.driver
    }

    pub(crate) const fn id(&self) -> SessionId {
        self.id
    }

    /// Closes it and waits until it is gone.
    pub(crate) async fn close(mut self) -> Result<(), Error> {
        self.open = false;
        self.driver.close(self.id).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.open {
            self.driver.abandon(self.id);
        }
    }
}
