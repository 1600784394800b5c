//! What a client says first, read along by rustls' parser; the driver gets the same bytes unchanged.

use rustls::{
    CipherSuite, SignatureScheme,
    server::{Accepted, Acceptor},
};

/// The type of records that carry a handshake (RFC 8446, section 5.1). The parser would wait behind
/// others.
const HANDSHAKE: u8 = 22;

/// A `ClientHello` on its way in.
pub enum Hello {
    /// Not whole yet.
    Partial(Box<Acceptor>),
    /// Whole.
    Whole(Box<Accepted>),
    /// Nothing that the parser understands. What is wrong with it is the driver's to judge.
    Unreadable,
}

/// A `ClientHello` (RFC 8446, section 4.1.2). One that could not be understood says nothing.
#[derive(Debug, Default)]
pub struct ClientHello<'a>(Option<rustls::server::ClientHello<'a>>);

/// Nothing of it is there yet.
impl Default for Hello {
    fn default() -> Self {
        Self::Partial(Box::default())
    }
}

impl Hello {
    /// Reads on: so many bytes of all that has come were there before. Bytes behind its end are not
    /// looked at.
    pub fn feed(&mut self, input: &[u8], before: usize) {
        let is_other = input.first().is_some_and(|kind| *kind != HANDSHAKE);
        if is_other && matches!(self, Self::Partial(_)) {
            *self = Self::Unreadable;
        }
        let mut new = &input[before..];
        while let Self::Partial(acceptor) = self
            && !new.is_empty()
        {
            // The parser takes some bytes at a time, and refuses more than a ClientHello can have.
            let read = acceptor.read_tls(&mut new);
            match (read, acceptor.accept()) {
                (Ok(1..), Ok(None)) => {}
                (Ok(1..), Ok(Some(accepted))) => *self = Self::Whole(Box::new(accepted)),
                _ => *self = Self::Unreadable,
            }
        }
    }

    /// What is known, once nothing more will be.
    pub fn client_hello(&self) -> Option<ClientHello<'_>> {
        match self {
            Self::Partial(_) => None,
            Self::Whole(accepted) => Some(ClientHello(Some(accepted.client_hello()))),
            Self::Unreadable => Some(ClientHello(None)),
        }
    }

    /// The server name in it.
    pub fn server_name(&self) -> Option<String> {
        self.client_hello()?.server_name().map(str::to_owned)
    }
}

impl<'a> ClientHello<'a> {
    /// The DNS name of the server that the client wants (SNI), if it says one.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.0.as_ref()?.server_name()
    }

    /// The application protocols that the client offers, its best first; `None` if it offers none.
    #[must_use]
    pub fn alpn(&self) -> Option<impl Iterator<Item = &'a [u8]>> {
        self.0.as_ref()?.alpn()
    }

    /// The cipher suites that the client offers.
    #[must_use]
    pub fn cipher_suites(&self) -> &[CipherSuite] {
        self.0.as_ref().map_or(&[], |hello| hello.cipher_suites())
    }

    /// The signature schemes that the client accepts: whether it takes an ECDSA certificate, say.
    #[must_use]
    pub fn signature_schemes(&self) -> &[SignatureScheme] {
        self.0
            .as_ref()
            .map_or(&[], |hello| hello.signature_schemes())
    }
}
