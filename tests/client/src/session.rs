//! One session, from the moment the driver has named it until it is closed.

use crate::{Driver, Error, Leg, Pending, Start};
use tlsgate_protocol::{Ioctl, SessionId};

/// Which side of a connection a session is: which IOCTL its legs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It accepts.
    Server,
    /// It connects.
    Client,
}

impl Side {
    /// Sends a leg of this side.
    pub fn leg(self, driver: &Driver, start: Start<'_>, input: &[u8]) -> Pending<Leg> {
        match self {
            Self::Server => driver.accept(start, input),
            Self::Client => driver.connect(start, input),
        }
    }

    /// What its legs are.
    pub const fn ioctl(self) -> Ioctl {
        match self {
            Self::Server => Ioctl::Accept,
            Self::Client => Ioctl::Connect,
        }
    }
}

/// A session of the driver; closed when dropped.
pub struct Session {
    driver: Driver,
    id: SessionId,
    side: Side,
    open: bool,
}

impl Session {
    pub(crate) const fn new(driver: Driver, id: SessionId, side: Side) -> Self {
        Self {
            driver,
            id,
            side,
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

    /// Sends its next leg.
    pub(crate) fn leg(&self, input: &[u8]) -> Pending<Leg> {
        self.side.leg(&self.driver, Start::Continue(self.id), input)
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
