//! Handshakes, as many at a time as there are connections.

use super::{
    Bench,
    side::{Clients, Server, connect},
};
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// What one turn of a measurement may use.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Handshakes.
    pub handshakes: u64,
    /// Time.
    pub time: Duration,
}

/// What came of handshakes.
pub struct Handshakes {
    /// Microseconds each.
    pub latency: Histogram<u64>,
    /// All together.
    pub time: Duration,
    /// So many were resumed.
    pub resumed: u64,
    /// So many came before, and are not measured.
    pub before: u64,
}

impl Share {
    /// The share of this turn, of so many.
    pub fn of(options: &Bench, turns: u32, turn: u32) -> Self {
        let (turns_wide, turn) = (u64::from(turns), u64::from(turn));
        let handshakes = options.handshakes.map_or(u64::MAX, |all| {
            // The first turns have what cannot be divided.
            all / turns_wide + u64::from(turn < all % turns_wide)
        });
        Self {
            handshakes,
            time: Duration::from_secs(options.seconds.into()) / turns,
        }
    }
}

impl Handshakes {
    /// None yet.
    pub fn new() -> Result<Self> {
        // Two digits are more than two runs have in common.
        Ok(Self {
            latency: Histogram::new(3)?,
            time: Duration::ZERO,
            resumed: 0,
            before: 0,
        })
    }
}

/// Shakes hands until the share is used up.
pub async fn run(
    options: &Bench,
    share: Share,
    server: &Server,
    clients: &Clients,
) -> Result<Handshakes> {
    // Everything that is made once; and where sessions are resumed, the first one. Clients of rustls
    // use a TLS 1.3 ticket once.
    let before = if options.resumed {
        options.connections
    } else {
        1
    };
    for _ in 0..before {
        connect(server, clients).await?.first_byte().await?;
    }
    let begun = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..options.connections {
        let (server, clients, begun) = (server.clone(), clients.clone(), Arc::clone(&begun));
        tasks.spawn(async move {
            let mut done = Handshakes::new()?;
            while started.elapsed() < share.time
                && begun.fetch_add(1, Ordering::Relaxed) < share.handshakes
            {
                let one = Instant::now();
                let mut connected = connect(&server, &clients).await?;
                done.latency.record(microseconds(one.elapsed()))?;
                done.resumed += u64::from(connected.resumed);
                connected.first_byte().await?;
            }
            anyhow::Ok(done)
        });
    }
    let mut all = Handshakes::new()?;
    while let Some(done) = tasks.join_next().await {
        let done = done.context("a task failed")??;
        all.latency.add(done.latency)?;
        all.resumed += done.resumed;
    }
    all.time = started.elapsed();
    all.before = before.into();
    Ok(all)
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: Bench,
    }

    #[test]
    fn the_turns_share_everything_and_nothing_twice() {
        let line = ["bench", "--handshakes", "10", "--seconds", "2"];
        let options = Line::parse_from(line).bench;
        let shares: Vec<_> = (0..4).map(|turn| Share::of(&options, 4, turn)).collect();
        let handshakes: Vec<_> = shares.iter().map(|it| it.handshakes).collect();
        assert_eq!(handshakes, [3, 3, 2, 2]);
        assert_eq!(shares[0].time, Duration::from_millis(500));
        let options = Line::parse_from(["bench"]).bench;
        assert_eq!(Share::of(&options, 1, 0).handshakes, u64::MAX);
    }

    #[test]
    fn full_and_resumed_are_not_both() {
        assert!(Line::try_parse_from(["bench", "--full", "--resumed"]).is_err());
    }
}
