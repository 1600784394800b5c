//! Clients of the driver's servers that go wrong on purpose. Nothing is owed to them; what they must not
//! do is harm others, or leave something behind.

use crate::{
    client::{Client, VERSIONS},
    flights::whole,
    page, socket,
    world::{Wanted, World, dial},
};
use anyhow::{Result, ensure};
use fastrand::Rng;
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

/// What a client does.
type Visit = fn(&World, &mut Rng) -> Result<()>;

/// Each kind, how often it comes among all, and what it does.
const KINDS: [(&str, u32, Visit); 7] = [
    ("hostile: vanishes", 20, vanish),
    ("hostile: flips a byte", 12, corrupt),
    ("hostile: garbage", 16, garbage),
    // As long as a socket has data that was not read, Wine's server goes through all sockets again and again.
    ("hostile: stops reading", 1, deaf),
    ("hostile: says nothing after the handshake", 4, silent),
    ("hostile: no certificate where one is demanded", 4, unknown),
    ("hostile: no TLS at all", 4, http),
];

/// What is checked of a peer that is too slow: it is given up.
pub const SLOW: &str = "too slow a peer is given up";

/// How soon the strict server gives up whoever is not done with the handshake, and then some.
const GIVEN_UP: Duration = Duration::from_secs(40);

/// One client of a kind that the generator chooses.
pub fn visit(world: &World, rng: &mut Rng) {
    let all: u32 = KINDS.iter().map(|kind| kind.1).sum();
    let mut number = rng.u32(..all);
    for (kind, weight, act) in KINDS {
        if number < weight {
            // How it ends is of no interest: it fails on purpose.
            let _ended = act(world, rng);
            world.tally.hostile(kind, 1);
            return;
        }
        number -= weight;
    }
}

fn client(rng: &mut Rng) -> Result<Client> {
    Client::new(VERSIONS[rng.usize(..VERSIONS.len())])
}

/// Ends with RST or FIN; the peer's bytes may be unread.
fn part(socket: TcpStream, rng: &mut Rng) -> Result<()> {
    if rng.bool() {
        socket::reset(socket)?;
    }
    Ok(())
}

/// Goes at any byte of any flight.
fn vanish(world: &World, rng: &mut Rng) -> Result<()> {
    let socket = dial(world.at.page)?;
    let last = rng.usize(..3);
    let mut cut = rng.fork();
    let send = |mut socket: &TcpStream, number: usize, flight: &[u8]| {
        if number < last {
            return whole(socket, number, flight);
        }
        socket.write_all(&flight[..cut.usize(..=flight.len())])?;
        Err(io::ErrorKind::ConnectionAborted.into())
    };
    let connected = client(rng)?.connect(socket.try_clone()?, send);
    if let Ok(mut stream) = connected {
        _ = stream.get_mut().depart();
        _ = page::get(&mut stream);
    }
    if rng.bool() {
        thread::sleep(Duration::from_millis(rng.u64(..100)));
    }
    part(socket, rng)
}

/// Any byte of any flight is another.
fn corrupt(world: &World, rng: &mut Rng) -> Result<()> {
    let wrong = rng.usize(..3);
    let mut place = rng.fork();
    let send = |socket: &TcpStream, number: usize, flight: &[u8]| {
        let mut flight = flight.to_vec();
        if number == wrong {
            let at = place.usize(..flight.len());
            flight[at] ^= place.u8(1..);
        }
        whole(socket, number, &flight)
    };
    client(rng)?.page(impatient(world.at.page)?, send)?;
    Ok(())
}

/// Random bytes at once, or behind a `ClientHello`, with or without a record's header.
fn garbage(world: &World, rng: &mut Rng) -> Result<()> {
    let mut socket = impatient(if rng.bool() {
        world.at.page
    } else {
        world.at.echo
    })?;
    let mut bytes = if rng.bool() {
        client(rng)?.hello(socket.try_clone()?)?
    } else {
        Vec::new()
    };
    let mut noise = vec![0; rng.usize(1..6_000)];
    rng.fill(&mut noise);
    if rng.bool() {
        let length = u16::try_from(noise.len())?.to_be_bytes();
        bytes.extend([rng.u8(20..24), 3, 3, length[0], length[1]]);
    }
    bytes.extend(noise);
    socket.write_all(&bytes)?;
    _ = socket.read(&mut [0; 100]);
    part(socket, rng)
}

/// Sends more than fits into all buffers on the way, and reads nothing of what comes back.
fn deaf(world: &World, rng: &mut Rng) -> Result<()> {
    let wanted = Wanted::plain("before it stops reading", VERSIONS[rng.usize(..2)]);
    let mut stream = world.connect(&wanted, dial(world.at.echo)?)?;
    stream
        .get_ref()
        .set_write_timeout(Some(Duration::from_millis(300)))?;
    let much = vec![b'x'; 16 * 1024];
    for _ in 0..2_000 {
        if stream.write(&much).is_err() {
            break;
        }
    }
    thread::sleep(Duration::from_millis(rng.u64(..2_000)));
    part(stream.get_ref().try_clone()?, rng)
}

fn silent(world: &World, rng: &mut Rng) -> Result<()> {
    let wanted = Wanted::plain("before it says nothing", VERSIONS[rng.usize(..2)]);
    let server = if rng.bool() {
        world.at.page
    } else {
        world.at.echo
    };
    let stream = world.connect(&wanted, dial(server)?)?;
    thread::sleep(Duration::from_millis(rng.u64(..4_000)));
    part(stream.get_ref().try_clone()?, rng)
}

/// A client whom the server must not let in.
fn unknown(world: &World, rng: &mut Rng) -> Result<()> {
    let mut stream = client(rng)?.connect(impatient(world.at.mutual)?, whole)?;
    stream.write_all(b"hello?")?;
    let heard = stream.read(&mut [0; 100]);
    let outcome = match heard {
        Ok(1..) => Err(anyhow::anyhow!("the server talks")),
        _ => Ok(()),
    };
    world.tally.honest("strangers are kept out", &outcome);
    Ok(())
}

fn http(world: &World, rng: &mut Rng) -> Result<()> {
    let mut socket = impatient(world.at.page)?;
    socket.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    _ = socket.read(&mut [0; 100]);
    part(socket, rng)
}

/// Sends its `ClientHello` byte by byte, too slowly: the strict server gives it up. Gives up by itself when
/// it is no longer wanted, which is no failure.
pub fn too_slow(world: &World, rng: &mut Rng, wanted: &dyn Fn() -> bool) {
    let outcome = crawl(world, rng, wanted);
    match outcome {
        Ok(true) => world.tally.honest(SLOW, &Ok(())),
        Ok(false) => {}
        Err(error) => world.tally.honest(SLOW, &Err(error)),
    }
}

/// Whether the server ended it.
fn crawl(world: &World, rng: &mut Rng, wanted: &dyn Fn() -> bool) -> Result<bool> {
    let mut socket = dial(world.at.strict)?;
    let hello = client(rng)?.hello(socket.try_clone()?)?;
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    let started = Instant::now();
    for byte in hello.chunks(1) {
        ensure!(started.elapsed() < GIVEN_UP, "not given up in {GIVEN_UP:?}");
        if !wanted() {
            return Ok(false);
        }
        if socket.write_all(byte).is_err() {
            return Ok(true);
        }
        match socket.read(&mut [0; 100]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // An alert, an end, or a reset.
            _ => return Ok(true),
        }
    }
    anyhow::bail!("the whole ClientHello was taken")
}

/// A connection of a peer that does not wait long.
fn impatient(server: std::net::SocketAddr) -> Result<TcpStream> {
    let socket = dial(server)?;
    socket.set_read_timeout(Some(Duration::from_secs(3)))?;
    Ok(socket)
}
