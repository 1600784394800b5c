//! `tlsgate serve`: an HTTPS server whose TLS is the driver's.

mod choice;
mod content;
mod http;

use crate::{
    announce, certificate, cli,
    exit::{Exit, Failure},
    input,
};
use anyhow::{Context, Result};
use choice::Choice;
use content::Content;
use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};
use tlsgate::{Driver, Error, ServerConfig, Thumbprint, TlsAcceptor};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What every connection needs.
struct Server {
    acceptor: TlsAcceptor,
    content: Content,
    timeout: Duration,
}

/// Serves until it is told to stop.
pub async fn run(driver: &Driver, options: &cli::Serve) -> Result<()> {
    if options.cert.is_empty() {
        return Err(Failure::new(Exit::Usage, certificate_wanted(options)).into());
    }
    let content = Content::new(options, driver.version().await?)?;
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| cannot_listen(options))?;
    let choice = Arc::new(Choice::acquire(driver, options).await?);
    announce(listener.local_addr()?)?;
    let timeout = Duration::from_secs(options.timeout.into());
    let mut config = ServerConfig::with_cert_resolver(choice.clone());
    config.alpn_protocols = options.alpn.iter().cloned().map(Into::into).collect();
    config.client_auth = options.client_auth.into();
    config.handshake_timeout = Some(timeout);
    let server = Arc::new(Server {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        content,
        timeout,
    });
    let mut connections = JoinSet::new();
    let stopped = tokio::select! {
        stopped = stop(driver, options, &choice) => stopped,
        () = listen(&listener, &server, &mut connections) => Ok(()),
    };
    connections.shutdown().await;
    choice.release().await?;
    stopped
}

/// Returns when the server is to stop; until then, each line of the input has new certificates.
async fn stop(driver: &Driver, options: &cli::Serve, choice: &Choice) -> Result<()> {
    if !options.until_stdin_closes {
        input::ctrl_c().await;
        return Ok(());
    }
    let mut lines = input::lines();
    while let Some(line) = lines.recv().await {
        match renew(driver, options, choice, &line).await {
            Ok(()) => writeln!(io::stdout(), "renewed")?,
            // Those that were good go on.
            Err(error) => eprintln!("not renewed: {error:#}"),
        }
    }
    Ok(())
}

/// Certificates that take the place of those so far.
async fn renew(driver: &Driver, options: &cli::Serve, choice: &Choice, line: &str) -> Result<()> {
    let certificates = line
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<Vec<Thumbprint>, _>>()?;
    choice.renew(driver, options, &certificates).await
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
    /// One client, from its first byte to its last. Only a failed handshake is an error: how what
    /// follows ends is the client's choice.
    async fn connection(&self, socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        // The driver watches over the handshake; this, over a client that says nothing more.
        let handshake = self.acceptor.accept(socket);
        let stream = tokio::time::timeout(self.timeout + crate::GRACE, handshake)
            .await
            .map_err(|_| Error::TooSlow)??;
        self.content.serve(stream).await
    }
}

/// What to do about a server without a certificate.
fn certificate_wanted(options: &cli::Serve) -> String {
    let store = options.credential.store_name();
    let known = certificate::with_key(store).unwrap_or_default();
    let wanted = "a server needs a certificate: name one with --cert THUMBPRINT";
    if known.is_empty() {
        return format!(
            "{wanted}; there is none with a key here, and `tlsgate cert new` makes one"
        );
    }
    let known = known.iter();
    let known = known.map(|one| format!("\n  {}  {}", one.thumbprint, one.subject));
    format!("{wanted}{}", known.collect::<Vec<_>>().concat())
}

/// What to do about an address that is taken.
fn cannot_listen(options: &cli::Serve) -> String {
    format!(
        "cannot listen on {}; --listen ADDR names another address, and with port 0 the system chooses one",
        options.listen
    )
}
