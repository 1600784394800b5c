//! One session, from the moment the driver has named it until it is closed.

use crate::{Connection, Credential, Driver, Error, Leg, NewSession, Pending, Record, Start};
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
    /// Sends the first leg of a new session of this side.
    pub fn begin(self, driver: &Driver, new: NewSession<'_>, input: &[u8]) -> Pending<Leg> {
        self.leg(driver, Start::New(new), input)
    }

    fn leg(self, driver: &Driver, start: Start<'_>, input: &[u8]) -> Pending<Leg> {
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

/// A session of the driver; closed when dropped. It holds its credential, which is released no sooner.
pub struct Session {
    credential: Credential,
    id: SessionId,
    side: Side,
    open: bool,
}

impl Session {
    pub(crate) const fn new(credential: Credential, id: SessionId, side: Side) -> Self {
        Self {
            credential,
            id,
            side,
            open: true,
        }
    }

    fn driver(&self) -> &Driver {
        self.credential.driver()
    }

    pub(crate) const fn id(&self) -> SessionId {
        self.id
    }

    /// Sends its next leg.
    pub(crate) fn leg(&self, input: &[u8]) -> Pending<Leg> {
        self.side
            .leg(self.driver(), Start::Continue(self.id), input)
    }

    /// Asks what was negotiated.
    pub(crate) fn query(&self) -> Pending<Connection> {
        self.driver().query_session(self.id)
    }

    /// Makes records of this data, wherever it lies; so many bytes of header are in front of a record's.
    pub(crate) fn seal(&self, header: usize, plaintext: &[&[u8]]) -> Pending<Record> {
        self.driver().seal_parts(self.id, header, plaintext)
    }

    /// Opens whole records.
    pub(crate) fn unseal(&self, records: &[u8]) -> Pending<Record> {
        self.driver().unseal(self.id, records)
    }

    /// Makes the record that says close_notify.
    pub(crate) fn shutdown(&self) -> Pending<Record> {
        self.driver().shutdown(self.id)
    }

    /// Closes it and waits until it is gone.
    pub(crate) async fn close(mut self) -> Result<(), Error> {
        self.open = false;
        self.driver().close(self.id).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.open {
            self.driver().abandon(self.id);
        }
    }
}
