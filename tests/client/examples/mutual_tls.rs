//! Mutual TLS: both sides show a certificate, and the server greets the client by its own.
//!
//! `mutual_tls serve --cert THUMBPRINT`, and then `mutual_tls connect localhost:8443 --cert THUMBPRINT`.

mod common;

use anyhow::{Context, Result};
use clap::Parser;
use std::sync::Arc;
use tlsgate::{
    Certificate, ClientAuth, ClientConfig, Credential, CredentialOptions, Driver, ServerConfig,
    Thumbprint, TlsAcceptor, TlsConnector, pki_types::ServerName,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

#[derive(Parser)]
enum Options {
    /// Greet those who show a certificate that this machine trusts.
    Serve {
        /// The server's certificate, in the machine's personal store.
        #[arg(long)]
        cert: Thumbprint,
        #[command(flatten)]
        listen: common::Listen,
    },
    /// Show a certificate, and print the greeting.
    Connect {
        /// HOST:PORT of the server.
        server: String,
        /// The client's certificate, in the machine's personal store.
        #[arg(long)]
        cert: Thumbprint,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let driver = Driver::open()?;
    match options {
        Options::Serve { cert, listen } => {
            // The credential asks for a certificate; the configuration insists on one.
            let credential =
                CredentialOptions::server(Certificate::machine(cert)).request_client_certificate();
            let mut config = ServerConfig::new(Credential::acquire(&driver, &credential).await?);
            config.client_auth = ClientAuth::Require;
            let acceptor = TlsAcceptor::from(Arc::new(config));
            listen.each(|socket| greet(acceptor.clone(), socket)).await
        }
        Options::Connect { server, cert } => {
            let credential = CredentialOptions::client().certificate(Certificate::machine(cert));
            let credential = Credential::acquire(&driver, &credential).await?;
            let connector = TlsConnector::from(Arc::new(ClientConfig::new(credential)));
            connect(&connector, &server).await
        }
    }
}

async fn greet(acceptor: TlsAcceptor, socket: TcpStream) -> Result<()> {
    let mut stream = timeout(common::PATIENCE, acceptor.accept(socket)).await??;
    let certificates = stream.connection().peer_certificates();
    let own = certificates
        .and_then(<[_]>::first)
        .context("no certificate")?;
    let greeting = format!("hello, {}\n", Thumbprint::of(own));
    stream.write_all(greeting.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

async fn connect(connector: &TlsConnector, server: &str) -> Result<()> {
    let (host, _) = server.rsplit_once(':').context("it is HOST:PORT")?;
    let domain = ServerName::try_from(host)?.to_owned();
    let socket = TcpStream::connect(server).await?;
    let mut stream = timeout(common::PATIENCE, connector.connect(domain, socket)).await??;
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting).await?;
    print!("{greeting}");
    Ok(stream.shutdown().await?)
}
