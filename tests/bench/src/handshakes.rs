//! Handshakes a second, through the driver and by the engine called directly.

use crate::{
    Bound, Effort, Engine, Gate, Results, Row, Site,
    drive::{Count, End, Until, handshakes},
    peer::{Clients, Servers, hear, speak},
    rounds::{Versus, versus},
    service::{FULL, Kind, Service},
};
use anyhow::{Result, ensure};
use rustls::HandshakeKind;
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
             either side and part of the time. Through the driver {IN_FLIGHT} handshakes are in flight on \
             each thread, and each session is closed; rustls is called directly on the same threads."
        )],
    })
}

fn compare(gate: &dyn Gate, site: &Site, kind: Kind, effort: Effort) -> Result<Versus> {
    let service = Service::new(gate, site, kind)?;
    let servers = Servers::new(site, kind)?;
    let sorts = |count: usize| -> Result<Vec<Clients>> {
        (0..count).map(|_| Clients::new(site, kind)).collect()
    };
    let many = sorts(THREADS * IN_FLIGHT)?;
    let few = sorts(THREADS)?;
    // Who resumes has had a handshake before.
    handshakes(&service, &many, Until::Count(many.len() as u64), End::Close)?;
    for clients in &few {
        direct(&servers, clients)?;
    }
    let through = || {
        let (rate, count) = turn(effort, |thread, end| {
            let own = &many[thread * IN_FLIGHT..][..IN_FLIGHT];
            handshakes(&service, own, Until::Time(end), End::Close)
        })?;
        is_of(kind, count)?;
        Ok(rate)
    };
    let directly = || {
        let (rate, count) = turn(effort, |thread, end| {
            let mut count = Count::default();
            while Instant::now() < end {
                count = count.and(direct(&servers, &few[thread])?);
            }
            Ok(count)
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

/// A handshake by rustls alone.
fn direct(servers: &Servers, clients: &Clients) -> Result<Count> {
    let (mut client, mut server) = (clients.client()?, servers.server()?);
    let mut wire = Vec::new();
    loop {
        speak(&mut client, &mut wire)?;
        hear(&mut server, &wire)?;
        wire.clear();
        speak(&mut server, &mut wire)?;
        hear(&mut client, &wire)?;
        wire.clear();
        if !client.is_handshaking() && !server.is_handshaking() && !client.wants_write() {
            break;
        }
    }
    let resumed = client.handshake_kind() == Some(HandshakeKind::Resumed);
    Ok(Count {
        handshakes: 1,
        resumed: resumed.into(),
        legs: 0,
    })
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
