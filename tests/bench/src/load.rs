//! A slow engine: how much of it is used, with how many legs in flight.

use crate::{
    Axis, Bound, Completion, Effort, Engine, Gate, Plot, Results, Row, Series, Site,
    latency::Latency,
    parked::{Seen, Window, parked},
    peer::{Clients, Servers},
    service::{FULL, PATIENCE, Service},
    wire,
};
use anyhow::{Context as _, Result};
use std::{
    sync::mpsc::{Sender, channel},
    time::{Duration, Instant},
};

/// The shape that was measured of LSASS: calls at a time, and how long each takes.
pub const SLOW: (usize, Duration) = (2, Duration::from_millis(7));

/// Legs in flight.
const LEGS: [usize; 10] = [1, 2, 4, 16, 64, 256, 1000, 2500, 5000, 10_000];

/// Threads that wait, each for a leg.
const PARKED: [usize; 7] = [1, 2, 4, 16, 64, 256, 1000];

/// What comes back in so many turns' time counts.
const TURNS: u32 = 4;

/// What comes back before is not counted.
const WARMING: u32 = 1;

/// Throughput by legs in flight, and by threads that wait.
///
/// # Errors
///
/// A leg fails.
pub fn run(gate: &dyn Gate, site: &Site, effort: Effort) -> Result<Results> {
    let hello = Clients::new(site, FULL)?.hello()?;
    let servers = Servers::new(site, FULL)?;
    let keeper = Service::new(gate, site, FULL)?;
    let mut by_legs = Vec::new();
    let mut by_threads = Vec::new();
    // In turns: what the machine does meanwhile meets both alike.
    for (place, &legs) in LEGS.iter().enumerate() {
        if legs <= effort.sessions {
            by_legs.push(Point::of(gate, site, &hello, legs, effort)?);
            keeper.rest()?;
        }
        if let Some(&threads) = PARKED.get(place).filter(|count| **count <= effort.sessions) {
            let window = Window::after(effort.turn * WARMING, effort.turn * TURNS);
            let seen = parked(&servers, &hello, SLOW, threads, window)?;
            by_threads.push((threads, seen));
        }
    }
    Ok(Results {
        rows: rows(&by_legs, &by_threads),
        plots: plots(&by_legs, &by_threads),
        notes: vec![format!(
            "The slow engine takes {} calls at a time, first in, first out, and {:?} for each, without using \
             the processor. Legs in flight are first legs, each with a session of its own; another follows \
             each that comes back. Those with which the engine would not be through within the time \
             measured have no latency.",
            SLOW.0, SLOW.1
        )],
    })
}

/// With so many legs in flight.
struct Point {
    legs: usize,
    seen: Seen,
    /// Legs that the driver itself has counted.
    counted: u64,
    threads: usize,
}

impl Point {
    fn of(gate: &dyn Gate, site: &Site, hello: &[u8], legs: usize, effort: Effort) -> Result<Self> {
        gate.engine(Engine::Inline)?;
        let service = Service::new(gate, site, FULL)?;
        gate.engine(Engine::Pool {
            workers: SLOW.0,
            latency: SLOW.1,
        })?;
        let (sender, completions) = channel();
        for _ in 0..legs {
            leg(&service, hello, Vec::new(), &sender);
        }
        let window = Window::after(effort.turn * WARMING, effort.turn * TURNS);
        let mut latency = Latency::new()?;
        let mut counted = None;
        while Instant::now() < window.end {
            if counted.is_none() && Instant::now() >= window.begin {
                let statistics = service.statistics()?;
                let live = statistics.waiting_live + statistics.in_flight_live;
                counted = Some((live, gate.usage().driver_threads));
            }
            let left = window.end.saturating_duration_since(Instant::now());
            let Ok((time, at, completion)) = completions.recv_timeout(left) else {
                break;
            };
            wire::leg(&completion).context("ACCEPT")?;
            if window.counts(at) {
                latency.add(time);
            }
            leg(&service, hello, completion.buffer, &sender);
        }
        // The rest of them comes as fast as it can.
        gate.engine(Engine::Inline)?;
        for _ in 0..legs {
            let (_, _, completion): Came = completions
                .recv_timeout(PATIENCE)
                .context("a leg has not come back")?;
            wire::leg(&completion).context("ACCEPT")?;
        }
        let (counted, threads) = counted.context("nothing came back")?;
        Ok(Self {
            legs,
            seen: Seen {
                rate: window.rate(latency.count()),
                latency,
            },
            counted,
            threads,
        })
    }
}

/// How long a leg took, when it came back, and with what.
type Came = (Duration, Instant, Completion);

fn leg(service: &Service, hello: &[u8], mut buffer: Vec<u8>, sender: &Sender<Came>) {
    let frame = wire::accept(&mut buffer, service.new_session(), hello);
    let sender = sender.clone();
    let begin = Instant::now();
    let done = move |completion| {
        let now = Instant::now();
        // Nobody listens any more: the scenario has failed already.
        let _ = sender.send((now - begin, now, completion));
    };
    service.issue(frame, buffer, Box::new(done));
}

fn rows(by_legs: &[Point], by_threads: &[(usize, Seen)]) -> Vec<Row> {
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let most = SLOW.0 as f64 / SLOW.1.as_secs_f64();
    // With as many as it takes at a time, it idles between a leg and the one that follows it.
    let enough = |legs: usize| legs >= 2 * SLOW.0;
    let legs: Vec<f64> = by_legs
        .iter()
        .filter(|point| enough(point.legs))
        .map(|point| point.seen.rate / most)
        .collect();
    let threads: Vec<f64> = by_threads
        .iter()
        .filter(|(threads, _)| enough(*threads))
        .map(|(_, seen)| seen.rate / most)
        .collect();
    let few_legs = by_legs.iter().find(|point| point.legs == SLOW.0);
    let few_threads = by_threads.iter().find(|(threads, _)| *threads == SLOW.0);
    let least = |rates: &[f64]| rates.iter().copied().fold(f64::INFINITY, f64::min);
    let driver_threads: Vec<usize> = by_legs.iter().map(|point| point.threads).collect();
    let counted = by_legs.iter().map(|point| point.counted).max();
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let most_threads = driver_threads.iter().copied().max().unwrap_or(0);
    let more = most_threads - driver_threads.iter().copied().min().unwrap_or(0);
    vec![
        Row::once(
            "slow engine's throughput used by 4 legs in flight and more, the least",
            "",
            least(&legs),
            Some(Bound::AtLeast(0.99)),
        ),
        Row::of_rounds(
            "slow engine's throughput used by 4 legs in flight and more, the median",
            "",
            &legs,
            None,
        ),
        Row::once(
            "slow engine's throughput used by 4 waiting threads and more, the least",
            "",
            least(&threads),
            None,
        ),
        Row::of_rounds(
            "slow engine's throughput used by 4 waiting threads and more, the median",
            "",
            &threads,
            None,
        ),
        Row::once(
            "slow engine's throughput used by 2 legs in flight",
            "",
            few_legs.map_or(0.0, |point| point.seen.rate / most),
            None,
        ),
        Row::once(
            "slow engine's throughput used by 2 waiting threads",
            "",
            few_threads.map_or(0.0, |(_, seen)| seen.rate / most),
            None,
        ),
        Row::once(
            "most legs in flight at once, by the driver's count",
            "",
            counted.map_or(0.0, |count| number(usize::try_from(count).unwrap_or(0))),
            Some(Bound::AtLeast(10_000.0)),
        ),
        Row::once(
            "the driver's threads at most",
            "",
            number(most_threads),
            None,
        ),
        Row::once(
            "threads more with the most legs in flight than with the fewest",
            "",
            number(more),
            Some(Bound::AtMost(0.0)),
        ),
    ]
}

fn plots(by_legs: &[Point], by_threads: &[(usize, Seen)]) -> Vec<Plot> {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let points: Vec<(usize, &Seen)> = by_legs
        .iter()
        .map(|point| (point.legs, &point.seen))
        .chain(by_threads.iter().map(|(threads, seen)| (*threads, seen)))
        .collect();
    let (legs, threads) = points.split_at(by_legs.len());
    let series = |name: &str, of: &[(usize, &Seen)], value: fn(&Seen) -> f64, all: bool| Series {
        name: name.to_owned(),
        points: of
            .iter()
            // A latency is one of all only if all had the time to come back.
            .filter(|(count, seen)| all || seen.latency.count() > 2 * *count as u64)
            .map(|(count, seen)| (number(*count), value(seen)))
            .collect(),
    };
    let axis = |label: &str, log| Axis {
        label: label.to_owned(),
        log,
    };
    let x = axis("legs in flight, or waiting threads", true);
    vec![
        Plot {
            title: "Throughput of a slow engine".to_owned(),
            x: x.clone(),
            y: axis("legs a second", false),
            series: vec![
                series(
                    "through the driver, by legs in flight",
                    legs,
                    |seen| seen.rate,
                    true,
                ),
                series("a thread parked for each", threads, |seen| seen.rate, true),
            ],
        },
        Plot {
            title: "Latency with a slow engine".to_owned(),
            x,
            y: axis("ms", true),
            series: vec![
                series(
                    "through the driver, median",
                    legs,
                    |seen| seen.latency.quantile(0.5),
                    false,
                ),
                series(
                    "through the driver, p99",
                    legs,
                    |seen| seen.latency.quantile(0.99),
                    false,
                ),
                series(
                    "parked threads, median",
                    threads,
                    |seen| seen.latency.quantile(0.5),
                    false,
                ),
                series(
                    "parked threads, p99",
                    threads,
                    |seen| seen.latency.quantile(0.99),
                    false,
                ),
            ],
        },
    ]
}
