//! What the driver's memory grows by: for a leg in flight, and for an idle session.

use crate::{
    Bound, Effort, Engine, Gate, Results, Row, Site, Usage,
    drive::{End, Until, handshakes},
    peer::Clients,
    service::{FULL, PATIENCE, Service},
    wire,
};
use anyhow::{Context as _, Result, ensure};
use std::{
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

/// Bytes of a leg's input.
const INPUT: usize = 4096;

/// Legs in flight.
const LEGS: usize = 1000;

/// Legs that no limit on what is inside ksecdd keeps waiting.
const FIRST: usize = 64;

/// Sessions that are idle.
const SESSIONS: u64 = 1000;

/// Driver-owned memory of a leg in flight and of an idle session.
///
/// # Errors
///
/// A leg fails, or a `ClientHello` of the length cannot be made.
pub fn run(gate: &dyn Gate, site: &Site, _: Effort) -> Result<Results> {
    let mut results = in_flight(gate, site)?;
    results.rows.push(idle(gate, site)?);
    Ok(results)
}

fn in_flight(gate: &dyn Gate, site: &Site) -> Result<Results> {
    gate.engine(Engine::Inline)?;
    let service = Service::new(gate, site, FULL)?;
    let clients = [Clients::new(site, FULL)?];
    handshakes(&service, &clients, Until::Count(10), End::Close)?;
    let hello = hello_of(site, INPUT)?;
    gate.engine(Engine::Held)?;
    let (sender, completions) = channel();
    let begin = |count: usize| -> Result<(Usage, usize)> {
        for _ in 0..count {
            let mut buffer = Vec::new();
            let frame = wire::accept(&mut buffer, service.new_session(), &hello);
            let sender = sender.clone();
            let done = move |completion| {
                // Nobody listens any more: the scenario has failed already.
                let _ = sender.send(completion);
            };
            service.issue(frame, buffer, Box::new(done));
        }
        settled(gate, &service)
    };
    let before = gate.usage();
    let (some, inside) = begin(FIRST)?;
    let (all, inside_at_last) = begin(LEGS - FIRST)?;
    gate.engine(Engine::Inline)?;
    for _ in 0..LEGS {
        let completion = completions
            .recv_timeout(PATIENCE)
            .context("a leg that was held has not come back")?;
        wire::leg(&completion).context("ACCEPT")?;
    }
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let each = |before: Usage, after: Usage, count: usize| {
        (after.pool_bytes.saturating_sub(before.pool_bytes)) as f64 / count as f64 / 1024.0
    };
    let bound = Some(Bound::AtMost(40.0));
    let rows = vec![
        Row::once(
            "driver's memory of a leg in flight, 4 KiB of input, the first ones",
            "KiB",
            each(before, some, FIRST),
            bound,
        ),
        Row::once(
            "driver's memory of a leg in flight, 4 KiB of input, 1,000 of them",
            "KiB",
            each(before, all, LEGS),
            bound,
        ),
    ];
    Ok(Results {
        rows,
        plots: Vec::new(),
        notes: vec![format!(
            "A leg in flight: a first leg with {INPUT} bytes of input, its session included. Of the first \
             {FIRST}, {inside} were inside ksecdd; of all {LEGS}, {inside_at_last}: the rest waits for \
             admission, and has its input only. The system buffer and the engine are not counted."
        )],
    })
}

/// What is in use once no more legs get inside ksecdd, and how many are.
fn settled(gate: &dyn Gate, service: &Service) -> Result<(Usage, usize)> {
    const STILL: Duration = Duration::from_millis(500);
    let begin = Instant::now();
    let (mut inside, mut since) = (0, Instant::now());
    while since.elapsed() < STILL {
        ensure!(
            begin.elapsed() < PATIENCE,
            "legs do not stop getting inside"
        );
        thread::sleep(Duration::from_millis(10));
        let now = service.statistics()?.in_flight_live;
        if now != inside {
            (inside, since) = (now, Instant::now());
        }
    }
    Ok((gate.usage(), usize::try_from(inside)?))
}

/// A `ClientHello` of this length: with as many application protocols as that takes.
fn hello_of(site: &Site, length: usize) -> Result<Vec<u8>> {
    const LONGEST: usize = 255;
    let hello = |padding: usize| {
        let mut names = vec![vec![b'x'; LONGEST]; padding / (1 + LONGEST)];
        // One byte of length in front of each.
        let last = padding % (1 + LONGEST);
        if last > 1 {
            names.push(vec![b'y'; last - 1]);
        }
        Clients::speaking(site, FULL, names)?.hello()
    };
    let mut padding = length.saturating_sub(hello(0)?.len());
    for _ in 0..4 {
        let made = hello(padding)?.len();
        if made == length {
            break;
        }
        padding = (padding + length).saturating_sub(made);
    }
    let hello = hello(padding)?;
    ensure!(hello.len() == length, "a ClientHello of {}", hello.len());
    Ok(hello)
}

fn idle(gate: &dyn Gate, site: &Site) -> Result<Row> {
    gate.engine(Engine::Inline)?;
    let service = Service::new(gate, site, FULL)?;
    let clients = [Clients::new(site, FULL)?];
    let more = || -> Result<Usage> {
        handshakes(&service, &clients, Until::Count(SESSIONS), End::Keep)?;
        Ok(settled(gate, &service)?.0)
    };
    let (before, after) = (more()?, more()?);
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let each = after.pool_bytes.saturating_sub(before.pool_bytes) as f64 / SESSIONS as f64;
    Ok(Row::once(
        "driver's memory of an idle session",
        "bytes",
        each,
        Some(Bound::AtMost(512.0)),
    ))
}
