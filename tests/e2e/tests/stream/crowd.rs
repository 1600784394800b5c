//! Many clients at once.

use crate::{
    client::{Client, VERSIONS},
    flights::whole,
    page,
    site::Site,
};
use anyhow::{Context, Result, anyhow};
use std::{sync::Barrier, thread};

/// How many.
pub const SIZE: usize = 64;

/// Starts all clients at the same moment, then does `meanwhile`, then sees whether each got its
/// page and, while all others are still connected, another.
pub fn visit(site: &Site, meanwhile: impl FnOnce() -> Result<()>) -> Result<()> {
    let start = Barrier::new(SIZE);
    let connected = Barrier::new(SIZE);
    let clients = VERSIONS
        .map(Client::new)
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    thread::scope(|scope| {
        let client = |number: usize| {
            start.wait();
            let first = site.socket().and_then(|socket| {
                let mut stream = clients[number % clients.len()].connect(socket, whole)?;
                page::get(&mut stream)?;
                Ok(stream)
            });
            // Reached by those that failed too: the others wait for all.
            connected.wait();
            page::get(&mut first?).map(drop)
        };
        let visitors: Vec<_> = (0..SIZE)
            .map(|number| scope.spawn(move || client(number)))
            .collect();
        let meanwhile = meanwhile();
        for (number, visitor) in visitors.into_iter().enumerate() {
            let visited = visitor.join().map_err(|_| anyhow!("a panic"))?;
            visited.with_context(|| format!("client {number} of {SIZE}"))?;
        }
        meanwhile
    })
}
