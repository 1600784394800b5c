//! What one request makes `driver/core` and `driver/protocol` do, in the order in which the driver's rim calls
//! them (`driver/src`), without the rim: no kernel, no engine, no copies of bytes.
//!
//! `cargo xtask bench` runs this program under callgrind, which counts the instructions between the entry of
//! [`measured`] and its return. Nothing here depends on the time, on an address or on chance, so that a count is
//! exact. The first requests are not counted: tables and queues have grown by then, as in a driver that has run
//! for a while.

#![forbid(unsafe_code)]

mod leg;
mod records;
mod world;

use anyhow::{Result, bail};
use std::hint::black_box;
use world::World;

/// Sessions that are there before anything is counted, one of which is at work.
const SESSIONS: usize = 100;

/// The requests that can be counted.
const REQUESTS: [&str; 4] = ["first leg", "further leg", "SEAL, 16 KiB", "UNSEAL, 16 KiB"];

fn main() -> Result<()> {
    let Some(name) = std::env::args().nth(1) else {
        println!("{}", REQUESTS.join("\n"));
        return Ok(());
    };
    let world = World::new();
    let mut session = leg::First::new(&world).run(&world);
    for _ in 1..SESSIONS {
        leg::Further::new(session).run(&world);
        session = leg::First::new(&world).run(&world);
    }
    let further = leg::Further::new(session);
    if name == REQUESTS[1] {
        measured(&mut || further.run(&world));
        return world.at_rest();
    }
    further.run(&world);
    match REQUESTS.iter().position(|it| *it == name) {
        Some(0) => {
            let first = leg::First::new(&world);
            measured(&mut || _ = first.run(&world));
        }
        Some(2) => {
            let seal = records::Seal::new(session);
            measured(&mut || seal.run(&world));
        }
        Some(3) => {
            let unseal = records::Unseal::new(session);
            measured(&mut || unseal.run(&world));
        }
        _ => bail!("no request is called {name:?}"),
    }
    world.at_rest()
}

/// What callgrind counts. Called once, and not generic, so that one symbol stands for it.
#[inline(never)]
fn measured(request: &mut dyn FnMut()) {
    request();
    // A jump in place of the call would end the count before it has begun.
    black_box(());
}
