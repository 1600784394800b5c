//! What a case works with: handles of the driver, the driver's side of a connection, and the peer's.

use super::pki::Pki;
use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::ServerName;
use std::{io, sync::Arc, time::Duration};
use tlsgate::{
    Accept, ClientAuth, ClientConfig, Connect, Credential, CredentialOptions, Driver, Error, Reply,
    ServerConfig, TlsAcceptor, TlsConnector, Transport, Unclaimed,
    protocol::{CredentialId, NtStatus, payload::StatisticsReply},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{client, server};

/// How long the driver may take to come to rest after a case.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at the statistics.
const INTERVAL: Duration = Duration::from_millis(10);

/// Opens the device once more.
pub type Open = Box<dyn Fn() -> Result<Handle, Error> + Send + Sync>;

/// What all cases share.
pub struct Site {
    pub pki: Pki,
    open: Open,
}

/// An open handle of the driver: with the last clone of it, and of what was made from it, goes
/// everything that was made on it.
#[derive(Clone)]
pub struct Handle {
    transport: Arc<dyn Transport>,
    pub driver: Driver,
}

/// A handle's transport, once for the library and once for requests as bytes.
struct Shared(Arc<dyn Transport>);

impl Site {
    pub const fn new(pki: Pki, open: Open) -> Self {
        Self { pki, open }
    }

    /// A handle of the case's own.
    pub fn handle(&self) -> Result<Handle> {
        Ok((self.open)()?)
    }
}

impl Handle {
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        let driver = Driver::new(Shared(Arc::clone(&transport)));
        Self { transport, driver }
    }

    /// Issues any IOCTL with any bytes, at once.
    pub fn issue(&self, code: u32, input: &[u8], room: usize) -> Reply {
        self.transport.ioctl(code, input.to_vec(), room, None)
    }

    pub async fn statistics(&self) -> Result<StatisticsReply> {
        Ok(self.driver.statistics().await?)
    }

    /// Waits until the statistics are as they should be.
    pub async fn settle(
        &self,
        what: &str,
        as_due: impl Fn(&StatisticsReply) -> bool,
    ) -> Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let now = self.statistics().await?;
            if as_due(&now) {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!(
                    "{what}: still not so after {} s: {now:?}",
                    PATIENCE.as_secs()
                );
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// A server of the driver's.
    pub async fn server(&self, options: &CredentialOptions) -> Result<Server> {
        let credential = Credential::acquire(&self.driver, options).await?;
        Ok(Server {
            config: ServerConfig::new(credential.clone()),
            credential,
        })
    }

    /// A client of the driver's.
    pub async fn client(&self, options: &CredentialOptions) -> Result<Client> {
        let credential = Credential::acquire(&self.driver, options).await?;
        Ok(Client(ClientConfig::new(credential)))
    }

    /// Lets a credential go that no session uses any more.
    pub async fn release(&self, credential: CredentialId) -> Result<()> {
        is_free(self.driver.release(credential).await?)
    }
}

impl Transport for Shared {
    fn ioctl(
        &self,
        code: u32,
        input: Vec<u8>,
        output_length: usize,
        unclaimed: Option<Unclaimed>,
    ) -> Reply {
        self.0.ioctl(code, input, output_length, unclaimed)
    }

    fn post(&self, code: u32, input: Vec<u8>, output_length: usize) {
        self.0.post(code, input, output_length);
    }
}

/// The driver's side of a connection.
pub type Ours<S = TcpStream> = tlsgate::TlsStream<S>;

/// A server of the driver's.
#[derive(Clone)]
pub struct Server {
    pub credential: Credential,
    config: ServerConfig,
}

/// A client of the driver's.
#[derive(Clone)]
pub struct Client(ClientConfig);

impl Server {
    /// It offers these application protocols.
    pub fn offering(mut self, names: &[&str]) -> Self {
        self.config.alpn_protocols = names.iter().map(|name| (*name).into()).collect();
        self
    }

    /// It lets in only clients with a good certificate.
    pub fn demanding(mut self) -> Self {
        self.config.client_auth = ClientAuth::Require;
        self
    }

    /// Takes a connection on any stream.
    pub fn accept<S>(&self, stream: S) -> Accept<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        TlsAcceptor::from(Arc::new(self.config.clone())).accept(stream)
    }

    /// Lets its credential go, which no session uses any more.
    pub async fn release(self) -> Result<()> {
        is_free(self.credential.release().await?)
    }

    /// Shakes hands with a client of the peer's, which wants the server of this name.
    pub async fn meet(
        &self,
        peer: &Arc<rustls::ClientConfig>,
        name: &'static str,
    ) -> Result<(Ours, client::TlsStream<TcpStream>)> {
        let (ours, theirs) = self.try_meet(peer, name).await?;
        both(ours, theirs)
    }

    /// The same, and what became of it on each side.
    pub async fn try_meet(
        &self,
        peer: &Arc<rustls::ClientConfig>,
        name: &'static str,
    ) -> Result<(io::Result<Ours>, io::Result<client::TlsStream<TcpStream>>)> {
        let (near, far) = sockets().await?;
        let name = ServerName::try_from(name)?;
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(peer));
        Ok(tokio::join!(
            self.accept(near),
            connector.connect(name, far)
        ))
    }
}

fn is_free(deferred: bool) -> Result<()> {
    ensure!(!deferred, "sessions still use the credential");
    Ok(())
}

impl Client {
    /// It offers these application protocols.
    pub fn offering(mut self, names: &[&str]) -> Self {
        self.0.alpn_protocols = names.iter().map(|name| (*name).into()).collect();
        self
    }

    /// Connects on any stream to the server of this name.
    pub fn connect<S>(&self, name: &'static str, stream: S) -> Result<Connect<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(Arc::new(self.0.clone()));
        Ok(connector.connect(ServerName::try_from(name)?, stream))
    }

    /// Lets its credential go, which no session uses any more.
    pub async fn release(self) -> Result<()> {
        is_free(self.0.credential.release().await?)
    }

    /// Shakes hands with a server of the peer's, as with the server of this name.
    pub async fn meet(
        &self,
        peer: &Arc<rustls::ServerConfig>,
        name: &'static str,
    ) -> Result<(Ours, server::TlsStream<TcpStream>)> {
        let (ours, theirs) = self.try_meet(peer, name).await?;
        both(ours, theirs)
    }

    /// The same, and what became of it on each side.
    pub async fn try_meet(
        &self,
        peer: &Arc<rustls::ServerConfig>,
        name: &'static str,
    ) -> Result<(io::Result<Ours>, io::Result<server::TlsStream<TcpStream>>)> {
        let (near, far) = sockets().await?;
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(peer));
        Ok(tokio::join!(
            self.connect(name, near)?,
            acceptor.accept(far)
        ))
    }
}

/// Both sides of a connection that both must have.
fn both<B>(ours: io::Result<Ours>, theirs: io::Result<B>) -> Result<(Ours, B)> {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => Ok((ours, theirs)),
        (Err(ours), Err(theirs)) => bail!("the driver: {ours}; the peer: {theirs}"),
        (Err(ours), Ok(_)) => bail!("the driver: {ours}; the peer: connected"),
        (Ok(_), Err(theirs)) => bail!("the driver: connected; the peer: {theirs}"),
    }
}

/// Why there is no connection; that there is one is the failure.
pub fn why(ours: io::Result<Ours>) -> Result<Error> {
    match ours {
        Ok(_) => bail!("the handshake did not fail"),
        Err(error) => Ok(error.downcast()?),
    }
}

/// Both ends of a TCP connection of this machine with itself.
pub async fn sockets() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let far = TcpStream::connect(listener.local_addr()?);
    let (near, far) = tokio::join!(listener.accept(), far);
    let (near, far) = (near?.0, far?);
    for socket in [&near, &far] {
        socket.set_nodelay(true)?;
    }
    Ok((near, far))
}

/// So many bytes each way at the same time, which must arrive as they were sent.
pub async fn exchange<A, B>(ours: &mut A, theirs: &mut B, size: usize) -> Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (up, down) = (noise(size, 1), noise(size, 2));
    let ((mut our_read, mut our_write), (mut their_read, mut their_write)) =
        (split(ours), split(theirs));
    tokio::try_join!(
        say(&mut our_write, &down),
        say(&mut their_write, &up),
        hear(&mut our_read, &up, "the driver"),
        hear(&mut their_read, &down, "the peer"),
    )?;
    Ok(())
}

async fn say(to: &mut (impl AsyncWrite + Unpin), data: &[u8]) -> Result<()> {
    to.write_all(data).await?;
    Ok(to.flush().await?)
}

async fn hear(from: &mut (impl AsyncRead + Unpin), data: &[u8], who: &str) -> Result<()> {
    let mut heard = vec![0; data.len()];
    let length = heard.len();
    from.read_exact(&mut heard)
        .await
        .with_context(|| format!("{who} waits for {length} bytes"))?;
    ensure!(heard == data, "{who} got other bytes than were sent");
    Ok(())
}

/// Bytes without a pattern that TLS could fall into step with; the same for the same seed.
pub fn noise(size: usize, seed: u64) -> Vec<u8> {
    // The generator of Numerical Recipes; its high bits are the good ones.
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..size).map(|_| next()).collect()
}

/// The peer says `close_notify`, the driver hears it, and its session is closed.
pub async fn end<B>(mut ours: Ours, mut theirs: B) -> Result<()>
where
    B: AsyncRead + AsyncWrite + Unpin,
{
    theirs.shutdown().await?;
    let mut rest = [0; 1];
    let read = ours.read(&mut rest).await.context("the peer's end")?;
    ensure!(read == 0, "data after the peer's end");
    ours.close().await?;
    Ok(())
}

/// The answer to a request, which must be this error.
pub async fn refused(reply: Reply, expected: NtStatus, what: &str) -> Result<()> {
    match reply.await {
        Err(status) if status == expected => Ok(()),
        Err(status) => bail!("{what}: {}, not {}", name(status), name(expected)),
        Ok(_) => bail!("{what}: it was done, not refused with {}", name(expected)),
    }
}

/// The answer of a typed function, which must be this error.
pub fn is_refused<T>(answer: Result<T, Error>, expected: NtStatus, what: &str) -> Result<()> {
    match answer {
        Err(Error::Refused { status, .. }) if status == expected => Ok(()),
        Err(error) => bail!("{what}: {error}, not {}", name(expected)),
        Ok(_) => bail!("{what}: it was done, not refused with {}", name(expected)),
    }
}

fn name(status: NtStatus) -> String {
    tlsgate::describe_nt_status(status)
}
