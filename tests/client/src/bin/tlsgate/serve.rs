//! `tlsgate serve`: an HTTPS server whose TLS is the driver's.

use crate::{cli, page};
use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Bytes, header, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, io::Write, net::SocketAddr, sync::Arc, time::Duration};
use tlsgate_client::{
    Certificate, CredentialOptions, Driver, Error, TlsAcceptor, protocol::payload::VersionReply,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};

/// What every connection needs.
struct Server {
    acceptor: TlsAcceptor,
    version: VersionReply,
    handshake_limit: Duration,
}

/// Serves until it is told to stop.
pub async fn run(driver: &Driver, options: &cli::Serve) -> Result<()> {
    let certificate = Certificate {
        store: options.store.clone(),
        ..Certificate::machine(options.cert)
    };
    let version = driver.version().await?;
    let credential = driver
        .acquire(&CredentialOptions::server(certificate))
        .await
        .with_context(|| format!("no credential from certificate {}", options.cert))?;
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    announce(listener.local_addr()?)?;
    let server = Arc::new(Server {
        acceptor: TlsAcceptor::new(driver.clone(), credential).alpn(options.alpn.clone()),
        version,
        handshake_limit: Duration::from_secs(options.handshake_limit),
    });
    let mut connections = JoinSet::new();
    tokio::select! {
        () = stop(options.until_stdin_closes) => {}
        () = listen(&listener, &server, &mut connections) => {}
    }
    connections.shutdown().await;
    driver.release(credential).await?;
    Ok(())
}

/// Tells those who wait for it that clients may come.
fn announce(address: SocketAddr) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "listening on {address}")?;
    output.flush()?;
    Ok(())
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
    async fn connection(&self, socket: TcpStream) -> Result<(), Error> {
        socket.set_nodelay(true).map_err(Error::Stream)?;
        let handshake = self.acceptor.accept(socket);
        let stream = tokio::time::timeout(self.handshake_limit, handshake)
            .await
            .map_err(|_| Error::TooSlow)??;
        let facts = page::facts(stream.connection(), &self.version);
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

/// Returns when the server is to stop.
async fn stop(at_end_of_input: bool) {
    let (closed, end_of_input) = oneshot::channel();
    if at_end_of_input {
        // A thread of its own: a read of the standard input cannot be given up.
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            let _ = closed.send(());
        });
        let _ = end_of_input.await;
    } else if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("no Ctrl-C here ({error}): end the process to stop it");
        std::future::pending::<()>().await;
    }
}
