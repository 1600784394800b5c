//! A good client's legs on a slow engine, alone and under a flood of half-open handshakes.

use crate::{
    Axis, Bound, Effort, Engine, Gate, Plot, Results, Row, Site,
    drive::{Count, End, Heard, Slot, establish},
    handshakes::joined,
    latency::Latency,
    load::SLOW,
    peer::Clients,
    rounds::versus,
    service::{FULL, PATIENCE, Service},
    wire,
};
use anyhow::{Context as _, Result};
use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::channel,
    },
    thread,
    time::{Duration, Instant},
};

/// What the good client offers, of what the engine can do.
const OFFERED: f64 = 0.3;

/// First legs that the flood has in flight, if so many sessions may be open.
const FLOOD: usize = 1000;

/// A turn of this scenario, in the effort's turns: enough for a percentile.
const TURNS: u32 = 20;

/// How long the flood has lasted when the good client comes: the driver has found out by then how many calls
/// keep the engine busy.
const BEFORE: Duration = Duration::from_secs(6);

/// Rounds of a comparison for each of this scenario's.
const FEWER: usize = 3;

/// The latency of a good client's legs, with a flood and without.
///
/// # Errors
///
/// One of its handshakes fails.
pub fn run(gate: &dyn Gate, site: &Site, effort: Effort) -> Result<Results> {
    let good = Good::new(gate, site, effort)?;
    let (with, without) = (Mutex::new(Latency::new()?), Mutex::new(Latency::new()?));
    let flooding = Mutex::new(Vec::new());
    let (length, legs) = (effort.turn * TURNS, FLOOD.min(effort.sessions));
    let found = versus(
        (effort.rounds / FEWER).max(1),
        || {
            let (latency, rate) = flooded(gate, site, legs, || {
                thread::sleep(BEFORE);
                good.offer(length, &with)
            })?;
            good.service.rest()?;
            let mut rates = flooding.lock().unwrap_or_else(PoisonError::into_inner);
            rates.push(rate);
            Ok(latency)
        },
        || good.offer(length, &without),
    )?;
    let all =
        |latency: Mutex<Latency>| latency.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (with, without) = (all(with), all(without));
    let rates = flooding
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let row =
        |name: &str, unit: &str, rounds: &[f64], bound| Row::of_rounds(name, unit, rounds, bound);
    let once = |name: &str, latency: &Latency, quantile| {
        Row::once(name, "ms", latency.quantile(quantile), None)
    };
    let rows = vec![
        row(
            "p99 of a good client's legs under a flood",
            "ms",
            &found.ours,
            None,
        ),
        row(
            "p99 of a good client's legs without",
            "ms",
            &found.theirs,
            None,
        ),
        row(
            "p99 of a good client's legs under a flood, to that without",
            "",
            &found.ratios(),
            Some(Bound::AtMost(2.0)),
        ),
        once("median of a good client's legs under a flood", &with, 0.5),
        once("median of a good client's legs without", &without, 0.5),
        row(
            "legs a second of the flood that were served",
            "1/s",
            &rates,
            None,
        ),
    ];
    let axis = |label: &str, log| Axis {
        label: label.to_owned(),
        log,
    };
    let plot = Plot {
        title: "Latency of a good client's legs".to_owned(),
        x: axis("ms", true),
        y: axis("% of legs within", false),
        series: vec![
            without.series("without a flood"),
            with.series("under a flood"),
        ],
    };
    Ok(Results {
        rows,
        plots: vec![plot],
        notes: vec![format!(
            "The flood: {legs} first legs in flight on a handle of its own, each with a session that nobody \
             goes on with; another follows each that comes back; it has lasted {:?} when the good client comes. \
             That one begins handshakes at random (Poisson, seed {}), {:.1} a second, each of {:.1} calls with its closing: {:.0} % of what the engine \
             of {} calls at a time and {:?} each can do. Latency is of {} legs under the flood and {} without.",
            BEFORE,
            effort.seed,
            good.rate,
            good.calls,
            OFFERED * 100.0,
            SLOW.0,
            SLOW.1,
            with.count(),
            without.count(),
        )],
    })
}

/// A client with a handle of its own.
struct Good<'a> {
    gate: &'a dyn Gate,
    service: Service<'a>,
    clients: Clients,
    /// Handshakes a second.
    rate: f64,
    /// Calls of the engine for a handshake and its closing.
    calls: f64,
    seed: u64,
}

impl<'a> Good<'a> {
    #[expect(clippy::cast_precision_loss, reason = "few")]
    fn new(gate: &'a dyn Gate, site: &Site, effort: Effort) -> Result<Self> {
        const SAMPLE: u64 = 10;
        gate.engine(Engine::Inline)?;
        let service = Service::new(gate, site, FULL)?;
        let clients = Clients::new(site, FULL)?;
        let before = service.statistics()?.calls;
        for _ in 0..SAMPLE {
            establish(&service, &clients, |_| {})?.close(&service)?;
        }
        let calls = (service.statistics()?.calls - before) as f64 / SAMPLE as f64;
        let most = SLOW.0 as f64 / SLOW.1.as_secs_f64();
        Ok(Self {
            gate,
            service,
            clients,
            rate: OFFERED * most / calls,
            calls,
            seed: effort.seed,
        })
    }

    /// Begins handshakes for so long, whether or not those before are done; the p99 of their legs in
    /// milliseconds.
    fn offer(&self, length: Duration, all: &Mutex<Latency>) -> Result<f64> {
        self.gate.engine(Engine::Pool {
            workers: SLOW.0,
            latency: SLOW.1,
        })?;
        let mut latency = Latency::new()?;
        let mut random = fastrand::Rng::with_seed(self.seed);
        let (sender, heard) = channel::<Heard>();
        let mut slots: HashMap<usize, Slot> = HashMap::new();
        let (mut places, mut count) = (0, Count::default());
        let begin = Instant::now();
        let end = begin + length;
        let mut next = begin;
        loop {
            let now = Instant::now();
            if next < end && now >= next {
                let mut slot = Slot::new(&self.clients, places, sender.clone());
                slot.begin(&self.service)?;
                slots.insert(places, slot);
                places += 1;
                // Above 0, at most 1.
                let unit = 1.0 - random.f64();
                next += Duration::from_secs_f64(-unit.ln() / self.rate);
                continue;
            }
            if next >= end && slots.is_empty() {
                break;
            }
            let wait = if next < end { next - now } else { PATIENCE };
            let Ok(heard) = heard.recv_timeout(wait) else {
                anyhow::ensure!(next < end, "a request has not come back");
                continue;
            };
            let slot = slots.get_mut(&heard.place).context("nobody's request")?;
            if slot.is_at_leg() {
                latency.add(heard.time);
                all.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .add(heard.time);
            }
            if !slot.go_on(&self.service, heard.completion, End::Close, &mut count)? {
                slots.remove(&heard.place);
            }
        }
        Ok(latency.quantile(0.99))
    }
}

/// Does something under a flood; what it gives, and the flood's legs a second.
fn flooded<T>(
    gate: &dyn Gate,
    site: &Site,
    legs: usize,
    work: impl FnOnce() -> Result<T>,
) -> Result<(T, f64)> {
    gate.engine(Engine::Inline)?;
    let service = Service::new(gate, site, FULL)?;
    let hello = Clients::new(site, FULL)?.hello()?;
    gate.engine(Engine::Pool {
        workers: SLOW.0,
        latency: SLOW.1,
    })?;
    let over = AtomicBool::new(false);
    let served = AtomicU64::new(0);
    let begin = Instant::now();
    let result = thread::scope(|scope| {
        let flood = scope.spawn(|| flood(&service, &hello, legs, &over, &served));
        let result = work();
        let (count, seconds) = (served.load(Relaxed), begin.elapsed().as_secs_f64());
        over.store(true, Relaxed);
        // What is left comes as fast as it can.
        gate.engine(Engine::Inline)?;
        joined(flood)?;
        #[expect(clippy::cast_precision_loss, reason = "few")]
        Ok((result?, count as f64 / seconds))
    });
    drop(service);
    result
}

fn flood(
    service: &Service,
    hello: &[u8],
    legs: usize,
    over: &AtomicBool,
    served: &AtomicU64,
) -> Result<()> {
    let (sender, completions) = channel();
    let leg = |mut buffer: Vec<u8>| {
        let frame = wire::accept(&mut buffer, service.new_session(), hello);
        let sender = sender.clone();
        let done = move |completion| {
            // Nobody listens any more: the flood has failed already.
            let _ = sender.send(completion);
        };
        service.issue(frame, buffer, Box::new(done));
    };
    for _ in 0..legs {
        leg(Vec::new());
    }
    let mut busy = legs;
    while busy > 0 {
        let completion: crate::Completion = completions
            .recv_timeout(PATIENCE)
            .context("a leg of the flood has not come back")?;
        wire::leg(&completion).context("a leg of the flood")?;
        if over.load(Relaxed) {
            busy -= 1;
        } else {
            served.fetch_add(1, Relaxed);
            leg(completion.buffer);
        }
    }
    Ok(())
}
