//! Sends back what each client says; thousands of clients at a time, on a few threads.

mod common;

use anyhow::Result;
use clap::Parser;
use std::sync::Arc;
use tlsgate::{
    Certificate, Credential, CredentialOptions, Driver, ServerConfig, Thumbprint, TlsAcceptor,
};
use tokio::{
    io::{AsyncWriteExt, copy, split},
    net::TcpStream,
    time::timeout,
};

#[derive(Parser)]
struct Options {
    /// The server's certificate, in the machine's personal store.
    #[arg(long)]
    cert: Thumbprint,
    #[command(flatten)]
    listen: common::Listen,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let driver = Driver::open()?;
    let certificate = Certificate::machine(options.cert);
    let credential = Credential::acquire(&driver, &CredentialOptions::server(certificate)).await?;
    let acceptor = TlsAcceptor::from(Arc::new(ServerConfig::new(credential)));
    options
        .listen
        .each(|socket| echo(acceptor.clone(), socket))
        .await
}

async fn echo(acceptor: TlsAcceptor, socket: TcpStream) -> Result<()> {
    let (mut reading, mut writing) =
        split(timeout(common::PATIENCE, acceptor.accept(socket)).await??);
    copy(&mut reading, &mut writing).await?;
    // The client has said all; so has this side.
    Ok(writing.shutdown().await?)
}
