//! What `tlsgate connect` and `tlsgate forward` share: a server, and how to connect to it.

use crate::{cli, credential};
use anyhow::{Context, Result, ensure};
use std::{sync::Arc, time::Duration};
use tlsgate::{ClientConfig, Credential, Driver, TlsConnector, TlsStream, pki_types::ServerName};
use tokio::net::TcpStream;

/// A client of one server.
pub struct Client {
    credential: Credential,
    connector: TlsConnector,
    server: String,
    name: ServerName<'static>,
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
        let name = options.server_name.as_deref();
        let name = name.unwrap_or_else(|| host.trim_matches(['[', ']']));
        let name = ServerName::try_from(name.to_owned())
            .with_context(|| format!("not a server's name: {name}"))?;
        let credential = credential::acquire(
            driver,
            &credential::client(options),
            &options.cert,
            &options.credential,
        )
        .await?;
        let timeout = Duration::from_secs(options.timeout.into());
        let mut config = ClientConfig::new(credential.clone());
        config.alpn_protocols = options.alpn.iter().cloned().map(Into::into).collect();
        config.handshake_timeout = Some(timeout);
        Ok(Self {
            credential,
            connector: TlsConnector::from(Arc::new(config)),
            server: server.to_owned(),
            name,
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
            Ok(self.connector.connect(self.name.clone(), socket).await?)
        };
        // The driver watches over the handshake; this, over a server that says nothing more.
        tokio::time::timeout(self.timeout + crate::GRACE, connecting)
            .await
            .with_context(|| format!("{} does not answer", self.server))?
    }

    /// The server, as the command line names it.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Lets the credential go.
    pub async fn release(self) -> Result<()> {
        self.credential.release().await?;
        Ok(())
    }
}
