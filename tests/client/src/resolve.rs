//! Which credential a client gets, by what it says first.

use crate::{ClientHello, Credential, Error};
use rustls_pki_types::DnsName;
use std::{collections::HashMap, fmt};

/// Chooses a server's credential for each client.
pub trait ResolvesServerCert: fmt::Debug + Send + Sync {
    /// The credential for this client; `None` refuses it with the alert `unrecognized_name`.
    ///
    /// It is called once a connection, as soon as the `ClientHello` is whole, on the task that shakes
    /// hands: it must not block.
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Credential>;

    /// The credential where it is the same for everybody: then no leg waits for the `ClientHello`.
    fn always(&self) -> Option<Credential> {
        None
    }
}

impl ResolvesServerCert for Credential {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Credential> {
        self.always()
    }

    fn always(&self) -> Option<Credential> {
        Some(self.clone())
    }
}

/// Chooses by the server name that the client indicates (SNI, RFC 6066, section 3).
#[derive(Clone, Debug, Default)]
pub struct ResolvesServerCertUsingSni {
    /// Names that differ in case only are equal.
    by_name: HashMap<DnsName<'static>, Credential>,
    default: Option<Credential>,
}

impl ResolvesServerCertUsingSni {
    /// One that knows no name, and refuses everybody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Clients that want this name get this credential. A name that was added before is replaced.
    ///
    /// Whether the credential's certificate is for the name is not looked at: the clients will.
    ///
    /// # Errors
    ///
    /// [`Error::ServerName`]: it is no DNS name, or has a wildcard.
    pub fn add(&mut self, name: &str, credential: Credential) -> Result<(), Error> {
        let name = DnsName::try_from(name).map_err(|_| Error::ServerName)?;
        self.by_name.insert(name.to_owned(), credential);
        Ok(())
    }

    /// Clients that want no name, or one that was not added, and those whose `ClientHello` cannot be
    /// understood, get this credential.
    pub fn set_default(&mut self, credential: Credential) {
        self.default = Some(credential);
    }
}

impl ResolvesServerCert for ResolvesServerCertUsingSni {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Credential> {
        client_hello
            .server_name()
            .and_then(|name| DnsName::try_from(name).ok())
            .and_then(|name| self.by_name.get(&name))
            .or(self.default.as_ref())
            .cloned()
    }
}
