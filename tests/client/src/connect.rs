//! Connections as programs make them: a connector for clients, an acceptor for servers.

use crate::{
    Connection, Driver, Error, NewSession, TlsStream, handshake::shake_hands, session::Side,
};
use std::{sync::Arc, time::Duration};
use tlsgate_protocol::CredentialId;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// Makes TLS connections as a client.
#[derive(Clone)]
pub struct TlsConnector(Settings);

/// Takes TLS connections as a server.
#[derive(Clone)]
pub struct TlsAcceptor {
    settings: Settings,
    client_auth: ClientAuth,
}

/// What every connection of a connector or an acceptor starts with.
#[derive(Clone)]
struct Settings {
    driver: Driver,
    credential: CredentialId,
    alpn: Arc<[Vec<u8>]>,
    timeout: Option<Duration>,
}

/// What a server makes of its clients' certificates. Asking for one is the credential's part
/// ([`CredentialOptions::request_client_certificate`](crate::CredentialOptions::request_client_certificate)):
/// TLS lets a client answer with none, so who demands one has to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Nothing.
    #[default]
    None,
    /// It is there to be seen in [`Connection`]; the caller judges, one that is not there included.
    Request,
    /// A connection is made only with a client that shows a certificate, and only when the security
    /// subsystem has checked it and found nothing wrong.
    Require,
}

impl TlsConnector {
    /// One whose connections have this client's credential.
    #[must_use]
    pub fn new(driver: Driver, credential: CredentialId) -> Self {
        Self(Settings::new(driver, credential))
    }

    /// The application protocols that are offered, best first.
    #[must_use]
    pub fn alpn(mut self, names: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        self.0.alpn = names.into_iter().map(Into::into).collect();
        self
    }

    /// How long the driver gives a handshake, from its first leg on.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = Some(timeout);
        self
    }

    /// Connects on `stream` to the server of this DNS name. It may be empty only where the
    /// credential leaves the check to the caller
    /// ([`manual_check`](crate::CredentialOptions::manual_check)).
    ///
    /// Dropping the future gives the handshake up: the pending request is cancelled and the session
    /// closed.
    ///
    /// # Errors
    ///
    /// The stream, the driver or the handshake failed. When it was the handshake, the alert that
    /// tells the peer has been sent, if there is one.
    pub async fn connect<S>(&self, name: &str, stream: S) -> Result<TlsStream<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.0.shake_hands(Side::Client, name, stream).await
    }
}

impl TlsAcceptor {
    /// One whose connections have this server's credential.
    #[must_use]
    pub fn new(driver: Driver, credential: CredentialId) -> Self {
        Self {
            settings: Settings::new(driver, credential),
            client_auth: ClientAuth::None,
        }
    }

    /// The application protocols that are offered, best first.
    #[must_use]
    pub fn alpn(mut self, names: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        self.settings.alpn = names.into_iter().map(Into::into).collect();
        self
    }

    /// How long the driver gives a handshake, from its first leg on. A client that says nothing makes
    /// no leg: how long to wait for it is the caller's to limit.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = Some(timeout);
        self
    }

    /// What it makes of clients' certificates.
    #[must_use]
    pub const fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = client_auth;
        self
    }

    /// Takes a connection on `stream`.
    ///
    /// Dropping the future gives the handshake up: the pending request is cancelled and the session
    /// closed.
    ///
    /// # Errors
    ///
    /// The stream, the driver or the handshake failed. When it was the handshake, the alert that
    /// tells the peer has been sent, if there is one. Or the client lacks what
    /// [`ClientAuth::Require`] demands; then close_notify has been said.
    pub async fn accept<S>(&self, stream: S) -> Result<TlsStream<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stream = self.settings.shake_hands(Side::Server, "", stream).await?;
        if self.client_auth == ClientAuth::Require
            && let Err(error) = is_known(stream.connection())
        {
            // The client has finished its handshake: that it does not hear the end changes nothing.
            let _ = stream.shutdown().await;
            return Err(error);
        }
        Ok(stream)
    }
}

/// Whether the peer has shown a certificate that is good.
fn is_known(connection: &Connection) -> Result<(), Error> {
    if connection.certificates.is_empty() {
        return Err(Error::NoClientCertificate);
    }
    match connection.check {
        Some(check) if check.is_good() => Ok(()),
        check => Err(Error::ClientCertificate(check)),
    }
}

impl Settings {
    fn new(driver: Driver, credential: CredentialId) -> Self {
        Self {
            driver,
            credential,
            alpn: Arc::default(),
            timeout: None,
        }
    }

    async fn shake_hands<S>(&self, side: Side, name: &str, stream: S) -> Result<TlsStream<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let alpn: Vec<&[u8]> = self.alpn.iter().map(Vec::as_slice).collect();
        let new = NewSession {
            credential: self.credential,
            server_name: name,
            alpn: &alpn,
            timeout: self.timeout,
        };
        shake_hands(&self.driver, side, new, stream).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Check;
    use tlsgate_protocol::SecurityStatus;

    #[test]
    fn only_a_certificate_that_was_checked_and_found_good_will_do() {
        let good = Check {
            chain_errors: 0,
            result: SecurityStatus::SEC_E_OK,
        };
        let bad = Check {
            chain_errors: 0x20,
            result: SecurityStatus::CERT_E_UNTRUSTEDROOT,
        };
        let connection = |certificates: &[&[u8]], check| Connection {
            certificates: certificates.iter().map(|it| it.to_vec()).collect(),
            check,
            ..Connection::default()
        };
        assert!(is_known(&connection(&[b"der"], Some(good))).is_ok());
        for check in [None, Some(good), Some(bad)] {
            let none = is_known(&connection(&[], check));
            assert!(matches!(none, Err(Error::NoClientCertificate)), "{check:?}");
        }
        for check in [None, Some(bad)] {
            let unknown = is_known(&connection(&[b"der"], check));
            assert!(matches!(unknown, Err(Error::ClientCertificate(it)) if it == check));
        }
    }
}
