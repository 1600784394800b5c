//! `tlsgate serve`: an HTTPS server whose TLS is the driver's.

use crate::{announce, carry, cli, credential, input, page};
use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Bytes, header, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, io, io::Write, sync::Arc, time::Duration};
use tlsgate::{
    Credential, Driver, Error, ServerConfig, Thumbprint, TlsAcceptor,
    protocol::payload::VersionReply,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What every connection needs.
struct Server {
    acceptor: TlsAcceptor,
    version: VersionReply,
    /// Where connections go instead of to the page.
    to: Option<String>,
    timeout: Duration,
}

/// Serves until it is told to stop.
pub async fn run(driver: &Driver, options: &cli::Serve) -> Result<()> {
    let version = driver.version().await?;
    let wanted = credential::server(options, &options.cert)?;
    let credential = credential::acquire(driver, &wanted, &options.cert).await?;
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    announce(listener.local_addr()?)?;
    let timeout = Duration::from_secs(options.timeout.into());
    let mut config = ServerConfig::new(credential.clone());
    config.alpn_protocols = options.alpn.iter().cloned().map(Into::into).collect();
    config.client_auth = options.client_auth.into();
    config.handshake_timeout = Some(timeout);
    let server = Arc::new(Server {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        version,
        to: options.to.clone(),
        timeout,
    });
    let mut connections = JoinSet::new();
    let stopped = tokio::select! {
        stopped = stop(options, &credential) => stopped,
        () = listen(&listener, &server, &mut connections) => Ok(()),
    };
    connections.shutdown().await;
    credential.release().await?;
    stopped
}

/// Returns when the server is to stop; until then, each line of the input has new certificates.
async fn stop(options: &cli::Serve, credential: &Credential) -> Result<()> {
    if !options.until_stdin_closes {
        input::ctrl_c().await;
        return Ok(());
    }
    let mut lines = input::lines();
    while let Some(line) = lines.recv().await {
        match renew(options, credential, &line).await {
            Ok(()) => writeln!(std::io::stdout(), "renewed")?,
            // Those that were good go on.
            Err(error) => eprintln!("not renewed: {error:#}"),
        }
    }
    Ok(())
}

/// Certificates that take the place of those so far.
async fn renew(options: &cli::Serve, credential: &Credential, line: &str) -> Result<()> {
    let certificates = line
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<Vec<Thumbprint>, _>>()?;
    let wanted = credential::server(options, &certificates)?;
    credential::replace(credential, &wanted, &certificates).await
}

async fn listen(listener: &TcpListener, server: &Arc<Server>, connections: &mut JoinSet<()>) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let server = Arc::clone(server);
                connections.spawn(async move {
                    if let Err(error) = server.connection(socket).await {
                        eprintln!("{peer}: {error}");
                    }
                });
            }
            // The client went away between the handshake of TCP and this call.
            Err(error) => eprintln!("a connection was lost: {error}"),
        }
        // Those that have ended need not be kept until the end.
        while connections.try_join_next().is_some() {}
    }
}

impl Server {
    /// One client, from its first byte to its last. Only a failed handshake is an error: how the
    /// HTTP exchange ends is the client's choice.
    async fn connection(&self, socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        // The driver watches over the handshake; this, over a client that says nothing more.
        let handshake = self.acceptor.accept(socket);
        let stream = tokio::time::timeout(self.timeout + crate::GRACE, handshake)
            .await
            .map_err(|_| Error::TooSlow)??;
        if let Some(server) = &self.to {
            carry::tell(stream.connection());
            let plain = TcpStream::connect(server).await?;
            plain.set_nodelay(true)?;
            return carry::both_ways(stream, plain).await;
        }
        let mut facts = page::negotiated(stream.connection());
        facts.push(page::driver(&self.version));
        let service = service_fn(|request| {
            let response = answer(&request, &facts);
            async { Ok::<_, Infallible>(response) }
        });
        if let Err(error) = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await
            && !error.is_incomplete_message()
            && !error.is_closed()
        {
            eprintln!("HTTP ended early: {error}");
        }
        Ok(())
    }
}

fn answer<B>(request: &Request<B>, facts: &[(&str, String)]) -> Response<Full<Bytes>> {
    let browser = request.headers().get(header::ACCEPT).is_some_and(|accept| {
        accept
            .as_bytes()
            .windows(9)
            .any(|part| part == b"text/html")
    });
    let (status, kind, body) = match *request.method() {
        Method::GET | Method::HEAD if browser => (
            StatusCode::OK,
            "text/html; charset=utf-8",
            page::html(facts),
        ),
        Method::GET | Method::HEAD => (
            StatusCode::OK,
            "text/plain; charset=utf-8",
            page::plain(facts),
        ),
        _ => (
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "GET only\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
