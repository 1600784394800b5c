//! Clients of the driver's servers that do nothing wrong: every one must get what it came for.

use crate::{
    client::VERSIONS,
    flights::Flights,
    key_update::{KeyUpdate, update_keys},
    page, pki,
    world::{NAMES, Wanted, World, choose, dial},
};
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use openssl::ssl::{ErrorCode, ShutdownResult, SslStream, SslVersion};
use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

/// What a client does.
type Visit = fn(&World, &mut Rng, &'static str) -> Result<()>;

/// Each kind, how often it comes among all, and what it does.
const KINDS: [(&str, u32, Visit); 12] = [
    ("page, TLS 1.3", 8, |world, _, kind| {
        a_page(world, kind, VERSIONS[0])
    }),
    ("page, TLS 1.2", 8, |world, _, kind| {
        a_page(world, kind, VERSIONS[1])
    }),
    ("resumed, TLS 1.3", 4, |world, _, kind| {
        resumed(world, kind, VERSIONS[0])
    }),
    ("resumed, TLS 1.2", 4, |world, _, kind| {
        resumed(world, kind, VERSIONS[1])
    }),
    ("mutual, TLS 1.3", 3, |world, rng, kind| {
        mutual(world, rng, kind, VERSIONS[0])
    }),
    ("mutual, TLS 1.2", 3, |world, rng, kind| {
        mutual(world, rng, kind, VERSIONS[1])
    }),
    ("server names", 4, names),
    ("small echo", 6, |world, rng, kind| {
        echo(world, rng, kind, 1..2_000)
    }),
    ("large echo", 2, |world, rng, kind| {
        echo(world, rng, kind, 500_000..2_000_000)
    }),
    ("keep-alive", 2, keep_alive),
    ("KeyUpdate", 2, key_updates),
    ("handshake in pieces", 2, in_pieces),
];

/// Every kind that [`visit`] chooses from.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.0)
}

/// One client of a kind that the generator chooses.
pub fn visit(world: &World, rng: &mut Rng) {
    let (kind, act) = choose(&KINDS, rng);
    let outcome = act(world, rng, kind);
    world.tally.honest(kind, &outcome);
}

fn any_version(rng: &mut Rng) -> SslVersion {
    VERSIONS[rng.usize(..VERSIONS.len())]
}

fn a_page(world: &World, kind: &'static str, version: SslVersion) -> Result<()> {
    let mut stream = world.connect(&Wanted::plain(kind, version), dial(world.at.page)?)?;
    last_page(&mut stream)
}

/// A second connection resumes the first one's session.
fn resumed(world: &World, kind: &'static str, version: SslVersion) -> Result<()> {
    let wanted = Wanted::plain("before resumption", version);
    let mut first = world.connect(&wanted, dial(world.at.page)?)?;
    page::get(&mut first)?;
    // With TLS 1.3 it came with the page.
    let session = first.ssl().session().context("no session")?.to_owned();
    last_page(&mut first)?;
    let wanted = Wanted {
        session: Some(&session),
        ..Wanted::plain(kind, version)
    };
    let mut second = world.connect(&wanted, dial(world.at.page)?)?;
    ensure!(second.ssl().session_reused(), "not resumed");
    last_page(&mut second)
}

fn mutual(world: &World, rng: &mut Rng, kind: &'static str, version: SslVersion) -> Result<()> {
    let wanted = Wanted {
        certificate: true,
        ..Wanted::plain(kind, version)
    };
    let mut stream = world.connect(&wanted, dial(world.at.mutual)?)?;
    there_and_back(&mut stream, rng, 1_000)?;
    end(stream)
}

/// The certificate is the one for the name.
fn names(world: &World, rng: &mut Rng, kind: &'static str) -> Result<()> {
    let number = rng.usize(..NAMES.len());
    let wanted = Wanted {
        name: NAMES[number],
        ..Wanted::plain(kind, any_version(rng))
    };
    let mut stream = world.connect(&wanted, dial(world.at.names)?)?;
    let shown = stream.ssl().peer_certificate().context("no certificate")?;
    let shown = pki::thumbprint(&shown)?;
    ensure!(shown == world.thumbprints[number], "another certificate");
    last_page(&mut stream)
}

fn echo(
    world: &World,
    rng: &mut Rng,
    kind: &'static str,
    bytes: std::ops::Range<usize>,
) -> Result<()> {
    let wanted = Wanted::plain(kind, any_version(rng));
    let mut stream = world.connect(&wanted, dial(world.at.echo)?)?;
    let bytes = rng.usize(bytes);
    there_and_back(&mut stream, rng, bytes)?;
    end(stream)
}

fn keep_alive(world: &World, rng: &mut Rng, kind: &'static str) -> Result<()> {
    let wanted = Wanted::plain(kind, any_version(rng));
    let mut stream = world.connect(&wanted, dial(world.at.page)?)?;
    for _ in 0..rng.u32(5..30) {
        page::get(&mut stream)?;
        thread::sleep(Duration::from_millis(rng.u64(..50)));
    }
    last_page(&mut stream)
}

fn key_updates(world: &World, rng: &mut Rng, kind: &'static str) -> Result<()> {
    let wanted = Wanted::plain(kind, SslVersion::TLS1_3);
    let mut stream = world.connect(&wanted, dial(world.at.echo)?)?;
    for _ in 0..rng.u32(1..10) {
        let update = if rng.bool() {
            KeyUpdate::Requested
        } else {
            KeyUpdate::NotRequested
        };
        update_keys(stream.ssl(), update)?;
        let bytes = rng.usize(1..40_000);
        there_and_back(&mut stream, rng, bytes)?;
    }
    end(stream)
}

/// Some bytes now and then, but soon enough.
fn in_pieces(world: &World, rng: &mut Rng, kind: &'static str) -> Result<()> {
    let wanted = Wanted::plain(kind, any_version(rng));
    let mut pieces = rng.fork();
    let socket = Flights::new(
        dial(world.at.page)?,
        move |mut socket: &TcpStream, _, flight: &[u8]| {
            let mut rest = flight;
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(pieces.usize(1..=rest.len().min(200)));
                socket.write_all(piece)?;
                thread::sleep(Duration::from_millis(pieces.u64(..40)));
                rest = more;
            }
            Ok(())
        },
    );
    let mut stream = world.connect(&wanted, socket)?;
    last_page(&mut stream)
}

/// A page, after which the server ends the connection, with close_notify.
fn last_page<S: Read + Write>(stream: &mut SslStream<S>) -> Result<()> {
    page::get_with(stream, "Connection: close\r\n")?;
    ended(stream)
}

/// So many bytes to the server and back, a chunk at a time.
pub fn there_and_back(stream: &mut (impl Read + Write), rng: &mut Rng, bytes: usize) -> Result<()> {
    let mut left = bytes;
    while left > 0 {
        let mut chunk = vec![0; rng.usize(1..=left.min(60_000))];
        rng.fill(&mut chunk);
        stream.write_all(&chunk).context("sending")?;
        let mut heard = vec![0; chunk.len()];
        stream.read_exact(&mut heard).context("hearing")?;
        ensure!(heard == chunk, "something else came back");
        left -= chunk.len();
    }
    Ok(())
}

/// Says close_notify and hears the server's.
fn end(mut stream: SslStream<TcpStream>) -> Result<()> {
    if stream.shutdown()? == ShutdownResult::Received {
        return Ok(());
    }
    ended(&mut stream)
}

/// The server has nothing more to say, and says so.
fn ended<S: Read + Write>(stream: &mut SslStream<S>) -> Result<()> {
    match stream.ssl_read(&mut [0]) {
        Ok(_) => anyhow::bail!("there is more than what was asked for"),
        Err(error) if error.code() == ErrorCode::ZERO_RETURN => Ok(()),
        Err(error) => Err(error).context("no close_notify"),
    }
}
