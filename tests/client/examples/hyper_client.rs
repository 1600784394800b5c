//! An HTTPS client by hyper: HTTP/2 or HTTP/1.1, as ALPN says.
//!
//! `hyper_client example.com:443 /` prints the page; what was negotiated goes to the standard error.

use anyhow::{Context, Result};
use clap::Parser;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request,
    body::Bytes,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{sync::Arc, time::Duration};
use tlsgate::{
    ClientConfig, Credential, CredentialOptions, Driver, TlsConnector, pki_types::ServerName,
};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

/// How long a handshake may take, with the wait for a server that says nothing.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Parser)]
struct Options {
    /// HOST:PORT of the server.
    server: String,
    /// The page's path.
    #[arg(default_value = "/")]
    path: String,
    /// The name that the server's certificate is for, when it is not HOST.
    #[arg(long)]
    name: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let (host, _) = options.server.rsplit_once(':').context("it is HOST:PORT")?;
    let name = options.name.as_deref().unwrap_or(host);
    let driver = Driver::open()?;
    let credential = Credential::acquire(&driver, &CredentialOptions::client()).await?;
    let mut config = ClientConfig::new(credential);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));

    let socket = TcpStream::connect(&options.server).await?;
    let domain = ServerName::try_from(name)?.to_owned();
    let stream = timeout(PATIENCE, connector.connect(domain, socket)).await??;
    let (_, connection) = stream.get_ref();
    let is_http2 = connection.alpn_protocol() == Some(b"h2");
    eprintln!("{}, {}", connection.protocol_name(), connection.alpn_name());

    let io = TokioIo::new(stream);
    let request = Request::get(format!("https://{name}{}", options.path))
        .header("host", name)
        .body(Empty::<Bytes>::new())?;
    // The connection's own future carries the bytes; it ends when there are no more requests.
    let response = if is_http2 {
        let (mut sender, carrier) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(carrier);
        sender.send_request(request).await?
    } else {
        let (mut sender, carrier) = http1::handshake(io).await?;
        tokio::spawn(carrier);
        sender.send_request(request).await?
    };
    eprintln!("{:?}, {}", response.version(), response.status());
    let page = response.into_body().collect().await?.to_bytes();
    tokio::io::stdout().write_all(&page).await?;
    tokio::io::stdout().flush().await?;
    Ok(())
}
