//! An HTTPS server by hyper: HTTP/2 or HTTP/1.1, as ALPN says.
//!
//! `hyper_server --cert THUMBPRINT`, and then `curl --insecure https://127.0.0.1:8443/`.

mod common;

use anyhow::Result;
use clap::Parser;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{convert::Infallible, sync::Arc};
use tlsgate::{
    Certificate, Credential, CredentialOptions, Driver, ServerConfig, Thumbprint, TlsAcceptor,
};
use tokio::{net::TcpStream, time::timeout};

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
    let mut config = ServerConfig::new(credential);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    options
        .listen
        .each(|socket| serve(acceptor.clone(), socket))
        .await
}

async fn serve(acceptor: TlsAcceptor, socket: TcpStream) -> Result<()> {
    let stream = timeout(common::PATIENCE, acceptor.accept(socket)).await??;
    let (_, connection) = stream.get_ref();
    let version = connection.protocol_name();
    let is_http2 = connection.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request| {
        let response = answer(&request, version);
        async { Ok::<_, Infallible>(response) }
    });
    let io = TokioIo::new(stream);
    if is_http2 {
        http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, service)
            .await?;
    } else {
        http1::Builder::new().serve_connection(io, service).await?;
    }
    Ok(())
}

fn answer(request: &Request<Incoming>, tls: &str) -> Response<Full<Bytes>> {
    let page = format!(
        "{} over {:?} over {tls}\n",
        request.uri().path(),
        request.version()
    );
    Response::new(Full::from(page))
}
