//! A server of several names: each client gets the certificate of the name it wants (SNI).
//!
//! `sni --cert one.test=THUMBPRINT --cert two.test=THUMBPRINT --default THUMBPRINT`

mod common;

use anyhow::{Context, Result};
use clap::Parser;
use std::sync::Arc;
use tlsgate::{
    Certificate, Credential, CredentialOptions, Driver, ServerConfig, Thumbprint, TlsAcceptor,
    server::ResolvesServerCertUsingSni,
};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

#[derive(Parser)]
struct Options {
    /// A name and its certificate, in the machine's personal store.
    #[arg(long, value_name = "NAME=THUMBPRINT", value_parser = named)]
    cert: Vec<(String, Thumbprint)>,
    /// The certificate for all other clients; without it they are refused.
    #[arg(long, value_name = "THUMBPRINT")]
    default: Option<Thumbprint>,
    #[command(flatten)]
    listen: common::Listen,
}

fn named(text: &str) -> Result<(String, Thumbprint)> {
    let (name, thumbprint) = text.split_once('=').context("it is NAME=THUMBPRINT")?;
    Ok((name.to_owned(), thumbprint.parse()?))
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let driver = Driver::open()?;
    let mut resolver = ResolvesServerCertUsingSni::new();
    for (name, thumbprint) in &options.cert {
        resolver.add(name, acquire(&driver, *thumbprint).await?)?;
    }
    if let Some(thumbprint) = options.default {
        resolver.set_default(acquire(&driver, thumbprint).await?);
    }
    let config = ServerConfig::with_cert_resolver(Arc::new(resolver));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    options
        .listen
        .each(|socket| greet(acceptor.clone(), socket))
        .await
}

async fn acquire(driver: &Driver, thumbprint: Thumbprint) -> Result<Credential> {
    let options = CredentialOptions::server(Certificate::machine(thumbprint));
    Ok(Credential::acquire(driver, &options).await?)
}

async fn greet(acceptor: TlsAcceptor, socket: TcpStream) -> Result<()> {
    let mut stream = timeout(common::PATIENCE, acceptor.accept(socket)).await??;
    let wanted = stream.connection().server_name().unwrap_or("nobody");
    let greeting = format!("you wanted {wanted}\n");
    stream.write_all(greeting.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}
