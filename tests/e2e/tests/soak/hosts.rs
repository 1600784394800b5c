//! OpenSSL on the host as the server of the driver's clients: one that sends back what comes, one that
//! demands a certificate, and one that is up to no good.

use crate::{
    client::VERSIONS,
    flights::Flights,
    key_update::{KeyUpdate, update_keys},
    pki::{Authority, Identity, Kind, NAME, Pki, Purpose},
    socket,
    tally::Tally,
    world::patient,
};
use anyhow::{Context, Result};
use fastrand::Rng;
use openssl::ssl::{
    ErrorCode, HandshakeError, Ssl, SslContext, SslMethod, SslStream, SslVerifyMode, SslVersion,
};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// What the servers show, and whom they trust.
pub struct Materials {
    identity: Identity,
    stranger: Identity,
    trusted: openssl::x509::X509,
}

impl Materials {
    /// A certificate that the machine trusts, and one that it does not.
    pub fn new(pki: &Pki) -> Result<Self> {
        let stranger = Authority::new("A stranger's authority")?;
        Ok(Self {
            identity: pki.trusted.issue(NAME, Kind::Ecdsa, Purpose::Server)?,
            stranger: stranger.issue(NAME, Kind::Ecdsa, Purpose::Server)?,
            trusted: pki.trusted.certificate().clone(),
        })
    }

    /// A server's side of each of [`VERSIONS`].
    fn contexts(&self, identity: &Identity, demanding: bool) -> Result<[SslContext; 2]> {
        let context = |version| self.context(version, identity, demanding);
        Ok([context(VERSIONS[0])?, context(VERSIONS[1])?])
    }

    fn context(
        &self,
        version: SslVersion,
        identity: &Identity,
        demanding: bool,
    ) -> Result<SslContext> {
        let mut context = SslContext::builder(SslMethod::tls_server())?;
        context.set_min_proto_version(Some(version))?;
        context.set_max_proto_version(Some(version))?;
        context.set_certificate(&identity.certificate)?;
        context.set_private_key(&identity.key)?;
        // Without one, sessions of clients that are asked for a certificate are not resumed.
        context.set_session_id_context(b"soak")?;
        if demanding {
            context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
            context.cert_store_mut().add_cert(self.trusted.clone())?;
        }
        Ok(context.build())
    }
}

/// Starts a server that sends back what comes, for as long as this process runs. Its handshakes and failures
/// are counted as of this kind, by version.
pub fn echo(
    tally: &Arc<Tally>,
    materials: &Materials,
    demanding: bool,
    kinds: [&'static str; 2],
    seed: u64,
) -> Result<SocketAddr> {
    let contexts = materials.contexts(&materials.identity, demanding)?;
    let tally = Arc::clone(tally);
    serve(seed, move |socket, rng| {
        let version = rng.usize(..VERSIONS.len());
        let outcome = patient(socket)
            .and_then(|()| shake(&contexts[version], socket, kinds[version], &tally))
            .and_then(|stream| send_back(stream, rng));
        tally.honest(kinds[version], &outcome);
    })
}

/// Starts a server that is up to no good, for as long as this process runs.
pub fn hostile(tally: &Arc<Tally>, materials: &Materials, seed: u64) -> Result<SocketAddr> {
    let good = materials.contexts(&materials.identity, false)?;
    let unknown = materials.contexts(&materials.stranger, false)?;
    let tally = Arc::clone(tally);
    serve(seed, move |socket, rng| {
        let version = rng.usize(..VERSIONS.len());
        // How it ends is of no interest: it fails on purpose.
        let _ended = misbehave(socket, &good[version], &unknown[version], rng);
        tally.hostile("hostile server", 1);
    })
}

/// Listens, and has a thread for each connection.
fn serve(
    seed: u64,
    connection: impl Fn(&TcpStream, &mut Rng) + Send + Sync + 'static,
) -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let connection = Arc::new(connection);
    let mut seeds = Rng::with_seed(seed);
    thread::Builder::new().name("host".into()).spawn(move || {
        for socket in listener.incoming().flatten() {
            let connection = Arc::clone(&connection);
            let mut rng = seeds.fork();
            thread::spawn(move || connection(&socket, &mut rng));
        }
    })?;
    Ok(address)
}

fn shake<'a>(
    context: &SslContext,
    socket: &'a TcpStream,
    kind: &'static str,
    tally: &Tally,
) -> Result<SslStream<&'a TcpStream>> {
    let started = Instant::now();
    let stream = Ssl::new(context)?
        .accept(socket)
        .map_err(|error| match error {
            HandshakeError::SetupFailure(error) => anyhow::Error::from(error),
            HandshakeError::Failure(stream) | HandshakeError::WouldBlock(stream) => {
                anyhow::Error::from(stream.into_error())
            }
        });
    let stream = stream.context("no handshake")?;
    let kind = if stream.ssl().session_reused() {
        "OpenSSL server: resumed"
    } else {
        kind
    };
    tally.handshake(kind, started.elapsed());
    Ok(stream)
}

/// Sends back what comes, now and then with new keys, until the client says close_notify.
fn send_back<S: Read + Write>(mut stream: SslStream<S>, rng: &mut Rng) -> Result<()> {
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match stream.ssl_read(&mut chunk) {
            Ok(read) => {
                if stream.ssl().version2() == Some(SslVersion::TLS1_3) && rng.u32(..20) == 0 {
                    update_keys(stream.ssl(), KeyUpdate::NotRequested)?;
                }
                stream.write_all(&chunk[..read]).context("sending back")?;
            }
            Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                stream.shutdown()?;
                return Ok(());
            }
            Err(error) => return Err(error).context("no close_notify"),
        }
    }
}

/// One of the ways in which a server can be no good.
fn misbehave(
    mut socket: &TcpStream,
    good: &SslContext,
    unknown: &SslContext,
    rng: &mut Rng,
) -> Result<()> {
    socket.set_read_timeout(Some(Duration::from_secs(3)))?;
    match rng.u32(..8) {
        0 => {}
        1 => _ = socket.read(&mut [0; 2_000])?,
        2 => {
            _ = socket.read(&mut [0; 2_000])?;
            let mut noise = vec![0; rng.usize(1..3_000)];
            rng.fill(&mut noise);
            socket.write_all(&noise)?;
        }
        // Longer than the client waits.
        3 => thread::sleep(Duration::from_millis(rng.u64(..4_000))),
        4 => half_a_flight(socket, good, rng)?,
        5 => _ = Ssl::new(unknown)?.accept(socket).map(drop),
        6 => {
            let stream = Ssl::new(good)?.accept(socket);
            if stream.is_ok() && rng.bool() {
                socket.write_all(b"\x17\x03\x03\x00\x20no record that could be unsealed")?;
            }
        }
        _ => {
            if let Ok(stream) = Ssl::new(good)?.accept(socket) {
                send_back(stream, rng)?;
            }
        }
    }
    if rng.bool() {
        socket::reset(socket.try_clone()?)?;
    }
    Ok(())
}

fn half_a_flight(socket: &TcpStream, context: &SslContext, rng: &mut Rng) -> Result<()> {
    let flights = Flights::new(
        socket.try_clone()?,
        |mut socket: &TcpStream, _, flight: &[u8]| {
            socket.write_all(&flight[..rng.usize(..flight.len())])?;
            Err(io::ErrorKind::ConnectionAborted.into())
        },
    );
    let mut stream = SslStream::new(Ssl::new(context)?, flights)?;
    _ = stream.accept();
    Ok(())
}
