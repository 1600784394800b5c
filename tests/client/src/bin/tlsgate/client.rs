//! What `tlsgate connect` and `tlsgate forward` share: a server, and how to connect to it.

use crate::{cli, credential};
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tlsgate::{Driver, TlsConnector, TlsStream, protocol::CredentialId};
use tokio::net::TcpStream;

/// A client of one server.
pub struct Client {
    driver: Driver,
    credential: CredentialId,
    connector: TlsConnector,
    server: String,
    name: String,
    timeout: Duration,
}

impl Client {
    /// Acquires its credential.
    pub async fn new(driver: &Driver, server: &str, options: &cli::Client) -> Result<Self> {
        let (host, port) = server
            .rsplit_once(':')
            .context("the server's port is missing: it is HOST:PORT")?;
        ensure!(
            port.parse::<u16>().is_ok(),
            "not a port: {port}; the server is HOST:PORT"
        );
        let credential =
            credential::acquire(driver, &credential::client(options), &options.cert).await?;
        let timeout = Duration::from_secs(options.timeout.into());
        Ok(Self {
            driver: driver.clone(),
            credential,
            connector: TlsConnector::new(driver.clone(), credential)
                .alpn(options.alpn.clone())
                .timeout(timeout),
            server: server.to_owned(),
            name: options
                .server_name
                .clone()
                .unwrap_or_else(|| host.trim_matches(['[', ']']).to_owned()),
            timeout,
        })
    }

    /// A new TLS connection.
    pub async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        let connecting = async {
            let socket = TcpStream::connect(&self.server)
                .await
                .with_context(|| format!("cannot connect to {}", self.server))?;
            socket.set_nodelay(true)?;
            Ok(self.connector.connect(&self.name, socket).await?)
        };
        // The driver watches over the handshake; this, over a server that says nothing more.
        tokio::time::timeout(self.timeout + crate::GRACE, connecting)
            .await
            .with_context(|| format!("{} does not answer", self.server))?
    }

    /// Lets the credential go.
    pub async fn release(self) -> Result<()> {
        self.driver.release(self.credential).await?;
        Ok(())
    }
}
