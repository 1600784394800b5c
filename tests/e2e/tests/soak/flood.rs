//! Floods of half-open handshakes: many connections at a time that begin one and go no further.

use crate::{
    client::{Client, VERSIONS},
    socket,
    world::World,
};
use anyhow::Result;
use fastrand::Rng;
use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

/// Most connections of a flood.
pub const MOST: usize = 400;

/// Connections made without a pause: as many as a listener on Windows keeps waiting, or less.
const AT_ONCE: usize = 50;

/// One flood, which goes as it came: some of its connections with RST, some with FIN; it may wait for the
/// server's time-out, but not when it is no longer wanted.
pub fn flood(world: &World, rng: &mut Rng, wanted: &dyn Fn() -> bool) -> Result<()> {
    let server = if rng.bool() {
        world.at.page
    } else {
        world.at.strict
    };
    let sockets = open(server, rng.usize(MOST / 5..=MOST), rng, true, wanted)?;
    world
        .tally
        .hostile("flood: half-open", sockets.len() as u64);
    let until = std::time::Instant::now() + Duration::from_millis(rng.u64(..5_000));
    while wanted() && std::time::Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
    for socket in sockets {
        if rng.bool() {
            socket::reset(socket)?;
        }
    }
    Ok(())
}

/// So many connections with nothing, a part of a `ClientHello`, or a whole one; or all with a whole one.
pub fn open(
    server: SocketAddr,
    count: usize,
    rng: &mut Rng,
    parts: bool,
    wanted: &dyn Fn() -> bool,
) -> Result<Vec<TcpStream>> {
    let mut sockets = Vec::with_capacity(count);
    let mut hellos = Vec::new();
    while sockets.len() < count && wanted() {
        let mut socket = TcpStream::connect(server)?;
        if hellos.len() < VERSIONS.len() {
            hellos.push(Client::new(VERSIONS[hellos.len()])?.hello(socket.try_clone()?)?);
        }
        let hello = &hellos[rng.usize(..hellos.len())];
        let part = match rng.u32(..10) {
            0 if parts => 0,
            1..4 if parts => rng.usize(1..hello.len()),
            _ => hello.len(),
        };
        socket.write_all(&hello[..part])?;
        sockets.push(socket);
        if sockets.len().is_multiple_of(AT_ONCE) {
            thread::sleep(Duration::from_millis(rng.u64(20..100)));
        }
    }
    Ok(sockets)
}
