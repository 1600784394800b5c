//! Handshakes a second, through the driver and by the engine called directly.

use crate::{
    Bound, Effort, Engine, Gate, Results, Row, Site,
    drive::{Count, End, Until, handshakes},
    peer::{Clients, Servers, hear, speak},
    rounds::{Versus, versus},
    service::{FULL, Kind, Service},
};
use anyhow::{Result, ensure};
use rustls::{ClientConnection, HandshakeKind, ServerConnection};
use std::{sync::Barrier, thread, time::Instant};

/// Threads of clients: as many as the machine that the figures are for has processors.
const THREADS: usize = 2;

/// Handshakes in flight on each thread.
const IN_FLIGHT: usize = 16;

/// Handshakes a second in process.
///
/// # Errors
///
/// A handshake fails.
pub fn run(gate: &dyn Gate, site: &Site, effort: Effort) -> Result<Results> {
    gate.engine(Engine::Inline)?;
    let full = compare(gate, site, FULL, effort)?;
    let resumed = compare(
        gate,
        site,
        Kind {
            resumes: true,
            ..FULL
        },
        effort,
    )?;
    let older = compare(
        gate,
        site,
        Kind {
            tls13: false,
            ..FULL
        },
        effort,
    )?;
    let mut rows = Vec::new();
    for (what, found, bound) in [
        ("full TLS 1.3 handshakes", &full, Some(Bound::AtLeast(0.97))),
        ("resumed TLS 1.3 handshakes", &resumed, None),
        ("full TLS 1.2 handshakes", &older, None),
    ] {
        let per_second = |side: &[f64], who| {
            let name = format!("{what} a second, {who}");
            Row::of_rounds(&name, "1/s", side, None)
        };
        rows.push(per_second(&found.ours, "through the driver"));
        rows.push(per_second(&found.theirs, "rustls called directly"));
        let name = format!("{what}, driver to rustls");
        rows.push(Row::of_rounds(&name, "", &found.ratios(), bound));
    }
    let gain = Versus {
        ours: resumed.ours,
        theirs: full.ours,
    };
    let name = "resumed to full TLS 1.3 handshakes, through the driver";
    rows.push(Row::of_rounds(name, "", &gain.ratios(), None));
    Ok(Results {
        rows,
        plots: Vec::new(),
        notes: vec![format!(
            "Handshakes a second: ECDSA P-256, X25519; {THREADS} threads of clients, which are rustls on \
             either side and part of the time. {IN_FLIGHT} handshakes are in flight on each thread, on either \
             side. Through the driver each session is closed; rustls is called directly on the same threads, \
             all servers in turn and then all clients."
        )],
    })
}

fn compare(gate: &dyn Gate, site: &Site, kind: Kind, effort: Effort) -> Result<Versus> {
    let service = Service::new(gate, site, kind)?;
    let servers = Servers::new(site, kind)?;
    let sorts = || -> Result<Vec<Clients>> {
        let all = THREADS * IN_FLIGHT;
        (0..all).map(|_| Clients::new(site, kind)).collect()
    };
    let (ours, theirs) = (sorts()?, sorts()?);
    // Who resumes has had a handshake before.
    let each_once = Until::Count(ours.len() as u64);
    handshakes(&service, &ours, each_once, End::Close)?;
    direct(&servers, &theirs, each_once)?;
    let through = || {
        let (rate, count) = turn(effort, |thread, end| {
            let own = &ours[thread * IN_FLIGHT..][..IN_FLIGHT];
            handshakes(&service, own, Until::Time(end), End::Close)
        })?;
        is_of(kind, count)?;
        Ok(rate)
    };
    let directly = || {
        let (rate, count) = turn(effort, |thread, end| {
            let own = &theirs[thread * IN_FLIGHT..][..IN_FLIGHT];
            direct(&servers, own, Until::Time(end))
        })?;
        is_of(kind, count)?;
        Ok(rate)
    };
    versus(effort.rounds, through, directly)
}

/// One side's turn on all threads: handshakes a second, and what was done.
fn turn(
    effort: Effort,
    work: impl Fn(usize, Instant) -> Result<Count> + Sync,
) -> Result<(f64, Count)> {
    let together = Barrier::new(THREADS);
    let sides: Vec<Result<(Count, f64)>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (work, together) = (&work, &together);
                scope.spawn(move || {
                    together.wait();
                    let begin = Instant::now();
                    let count = work(thread, begin + effort.turn)?;
                    Ok((count, begin.elapsed().as_secs_f64()))
                })
            })
            .collect();
        threads.into_iter().map(joined).collect()
    });
    let (mut all, mut longest) = (Count::default(), 0.0_f64);
    for side in sides {
        let (count, seconds) = side?;
        all = all.and(count);
        longest = longest.max(seconds);
    }
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    Ok((all.handshakes as f64 / longest, all))
}

/// What a thread came to; its panic is ours.
pub fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Handshakes by rustls alone, as many in flight as there are sorts of clients; all servers have their turns, then
/// all clients, as requests and replies of as many handshakes come one behind the other.
fn direct(servers: &Servers, clients: &[Clients], until: Until) -> Result<Count> {
    let mut count = Count::default();
    let mut begun = 0;
    let mut pairs = Vec::new();
    for clients in clients {
        if until.goes_on(begun) {
            pairs.push((clients, Pair::new(servers, clients)?));
            begun += 1;
        }
    }
    while !pairs.is_empty() {
        for (_, pair) in &mut pairs {
            pair.server_hears()?;
        }
        let mut still = Vec::with_capacity(pairs.len());
        for (clients, mut pair) in pairs {
            if pair.client_hears()? {
                still.push((clients, pair));
                continue;
            }
            count.handshakes += 1;
            count.resumed += u64::from(pair.is_resumed());
            if until.goes_on(begun) {
                still.push((clients, Pair::new(servers, clients)?));
                begun += 1;
            }
        }
        pairs = still;
    }
    Ok(count)
}

/// Two ends of rustls at a handshake.
struct Pair {
    client: ClientConnection,
    server: ServerConnection,
    said: Vec<u8>,
}

impl Pair {
    fn new(servers: &Servers, clients: &Clients) -> Result<Self> {
        let (mut client, server) = (clients.client()?, servers.server()?);
        let mut said = Vec::new();
        speak(&mut client, &mut said)?;
        Ok(Self {
            client,
            server,
            said,
        })
    }

    fn server_hears(&mut self) -> Result<()> {
        hear(&mut self.server, &self.said)?;
        self.said.clear();
        speak(&mut self.server, &mut self.said)
    }

    /// False when both have finished.
    fn client_hears(&mut self) -> Result<bool> {
        hear(&mut self.client, &self.said)?;
        self.said.clear();
        speak(&mut self.client, &mut self.said)?;
        let under_way = self.client.is_handshaking() || self.server.is_handshaking();
        Ok(under_way || !self.said.is_empty())
    }

    fn is_resumed(&self) -> bool {
        self.client.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

fn is_of(kind: Kind, count: Count) -> Result<()> {
    let expected = if kind.resumes { count.handshakes } else { 0 };
    ensure!(
        count.resumed == expected,
        "{} of {} handshakes were resumed",
        count.resumed,
        count.handshakes
    );
    Ok(())
}
