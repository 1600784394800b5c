//! What a program says to the driver.

use crate::{Error, Thumbprint};
use std::time::Duration;
use tlsgate_protocol::{
    CredentialId, SessionId, limits,
    payload::{CertificateReference, store_scope},
};

/// Where a credential's certificate is (Microsoft's documentation of `SCHANNEL_CERT_HASH_STORE`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Which certificate.
    pub thumbprint: Thumbprint,
    /// [`store_scope`].
    pub scope: u32,
    /// The store's name; `None` means "MY", the personal store.
    pub store: Option<String>,
}

impl Certificate {
    /// The certificate of the machine's personal store.
    #[must_use]
    pub const fn machine(thumbprint: Thumbprint) -> Self {
        Self {
            thumbprint,
            scope: store_scope::MACHINE,
            store: None,
        }
    }

    /// Its wire form.
    pub(crate) fn reference(&self) -> Result<CertificateReference, Error> {
        let mut store_name = [0; limits::MAX_STORE_NAME];
        let mut store_name_length = 0;
        for unit in self.store.iter().flat_map(|name| name.encode_utf16()) {
            *store_name
                .get_mut(store_name_length)
                .ok_or(Error::StoreName)? = unit;
            store_name_length += 1;
        }
        Ok(CertificateReference {
            thumbprint: self.thumbprint.0,
            store_scope: self.scope,
            store_name_length: u32::try_from(store_name_length).map_err(|_| Error::StoreName)?,
            store_name,
            reserved: 0,
        })
    }
}

/// What a leg is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// A session that does not exist yet.
    New(NewSession<'a>),
    /// The next leg of this session.
    Continue(SessionId),
}

impl Start<'_> {
    /// Whether it makes a session.
    pub(crate) const fn is_new(self) -> bool {
        matches!(self, Self::New(_))
    }
}

/// What a session starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewSession<'a> {
    /// Its credential.
    pub credential: CredentialId,
    /// The DNS name of the server to connect to; empty when accepting, and where the credential
    /// leaves the check to the caller.
    pub server_name: &'a str,
    /// The application protocols offered, best first.
    pub alpn: &'a [&'a [u8]],
    /// How long the handshake may take from its first leg on; `None` for the driver's default.
    pub timeout: Option<Duration>,
}

impl NewSession<'_> {
    /// One of this credential, without a name or application protocols, and the driver's default
    /// time-out.
    #[must_use]
    pub const fn of(credential: CredentialId) -> Self {
        Self {
            credential,
            server_name: "",
            alpn: &[],
            timeout: None,
        }
    }
}

/// The wire form of an ALPN list (RFC 7301 without its outer length).
pub fn alpn_list(names: &[&[u8]]) -> Result<Vec<u8>, Error> {
    let mut list = Vec::new();
    for name in names {
        let length = u8::try_from(name.len()).ok().filter(|length| *length > 0);
        list.push(length.ok_or(Error::Alpn)?);
        list.extend_from_slice(name);
    }
    if list.len() > limits::MAX_ALPN_LIST {
        Err(Error::Alpn)
    } else {
        Ok(list)
    }
}
