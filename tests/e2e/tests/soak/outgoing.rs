//! Connections that the driver's clients carry: their plain ends.

use crate::{
    honest::there_and_back,
    world::{World, dial},
};
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr},
    ops::Range,
    thread,
    time::Duration,
};

/// Where it leads, how many bytes it carries each way.
type Carried = (fn(&World) -> SocketAddr, Range<usize>);

/// Each kind, how often it comes among all, and what it is.
const KINDS: [(&str, u32, Carried); 4] = [
    ("client: small", 5, (|world| world.at.to_host, 1..2_000)),
    (
        "client: large",
        1,
        (|world| world.at.to_host, 500_000..2_000_000),
    ),
    (
        "client: shows a certificate",
        3,
        (|world| world.at.to_demanding, 1..2_000),
    ),
    (
        "driver to driver",
        4,
        (|world| world.at.to_driver, 1..20_000),
    ),
];

/// One connection of a kind that the generator chooses; now and then one to a server that is no good.
pub fn visit(world: &World, rng: &mut Rng) {
    if rng.u32(..3) == 0 {
        // How it ends is the server's choice.
        let _ended = to_hostile(world, rng);
        world.tally.hostile("client of a hostile server", 1);
        return;
    }
    let all: u32 = KINDS.iter().map(|kind| kind.1).sum();
    let mut number = rng.u32(..all);
    for (kind, weight, (server, bytes)) in KINDS {
        if number < weight {
            let bytes = rng.usize(bytes);
            let outcome = carried(server(world), rng, bytes);
            world.tally.honest(kind, &outcome);
            return;
        }
        number -= weight;
    }
}

/// Bytes there and back; then both sides end.
fn carried(server: SocketAddr, rng: &mut Rng, bytes: usize) -> Result<()> {
    let mut plain = dial(server)?;
    there_and_back(&mut plain, rng, bytes)?;
    plain.shutdown(Shutdown::Write)?;
    let more = plain.read(&mut [0]).context("the other side's end")?;
    ensure!(more == 0, "there is more than what was sent");
    Ok(())
}

fn to_hostile(world: &World, rng: &mut Rng) -> Result<()> {
    let mut plain = dial(world.at.to_hostile)?;
    plain.set_read_timeout(Some(Duration::from_secs(6)))?;
    if rng.bool() {
        plain.write_all(b"hello?")?;
    }
    match rng.u32(..3) {
        // Goes while the handshake is on its way, or before.
        0 => thread::sleep(Duration::from_millis(rng.u64(..20))),
        1 => plain.shutdown(Shutdown::Write)?,
        _ => {}
    }
    _ = plain.read(&mut [0; 100]);
    Ok(())
}
