//! What a leg costs among few and among many open sessions.

use crate::{
    Axis, Bound, Effort, Engine, Gate, Plot, Results, Row, Series, Site,
    drive::{Count, End, Until, establish, handshakes},
    handshakes::joined,
    peer::Clients,
    rounds::quantile,
    service::{FULL, Service},
};
use anyhow::{Result, ensure};
use std::{sync::Mutex, thread, time::Duration};

/// Sessions of a handle: its quota is 32,768.
const OF_A_HANDLE: usize = 25_000;

/// Sessions among which a leg is to cost what it costs among many.
const FEW: usize = 10;

/// Threads that open sessions.
const THREADS: usize = 2;

/// Handshakes in flight on each.
const IN_FLIGHT: usize = 16;

/// Handshakes of a round. Few: a round in which something else has had the processor is one of many.
const HANDSHAKES: u64 = 10;

/// Handshakes of a round whose legs are timed one by one.
const TIMED: usize = 5;

/// Rounds for each of a comparison's.
const ROUNDS: usize = 10;

/// The cost of a leg at 10 open sessions and up to very many.
///
/// # Errors
///
/// A handshake fails.
pub fn run(gate: &dyn Gate, site: &Site, effort: Effort) -> Result<Results> {
    gate.engine(Engine::Inline)?;
    let measured = Measured::new(gate, site, effort)?;
    let mut crowd = Crowd::new(gate, site);
    let mut levels = vec![];
    let mut level = FEW;
    while level < effort.sessions {
        levels.push(level);
        level *= 10;
    }
    levels.push(effort.sessions);
    let mut found = Vec::new();
    for &level in &levels {
        crowd.grow(level)?;
        found.push(measured.cost()?);
    }
    // Few again: what has become dearer with time alone shows in both.
    drop(crowd);
    measured.service.rest()?;
    let mut crowd = Crowd::new(gate, site);
    crowd.grow(FEW)?;
    let again = measured.cost()?;
    let series = |name: &str, of: fn(&Cost) -> &Vec<f64>| Series {
        name: name.to_owned(),
        points: levels
            .iter()
            .zip(&found)
            .map(|(&level, cost)| (number(level), quantile(of(cost), 0.5)))
            .collect(),
    };
    let (Some(first), Some(last)) = (found.first(), found.last()) else {
        return Ok(Results::default());
    };
    let many = effort.sessions;
    let ratio = |what: &str, of: fn(&Cost) -> &Vec<f64>| {
        let few = quantile(&[of(first).as_slice(), of(&again)].concat(), 0.5);
        let ratios: Vec<f64> = of(last).iter().map(|cost| cost / few).collect();
        let name = format!("{what} at {many} open sessions, to that at {FEW}");
        Row::of_rounds(&name, "", &ratios, Some(Bound::AtMost(1.1)))
    };
    let at = |what: &str, sessions: usize, rounds: &[f64]| {
        let name = format!("{what} at {sessions} open sessions");
        Row::of_rounds(&name, "µs", rounds, None)
    };
    let (driver, whole) = ("the driver's time of a leg", "the whole time of a leg");
    let rows = vec![
        at(driver, FEW, &first.driver),
        at(driver, many, &last.driver),
        ratio(driver, |cost| &cost.driver),
        at(whole, FEW, &first.whole),
        at(whole, many, &last.whole),
        ratio(whole, |cost| &cost.whole),
    ];
    let label = |label: &str| label.to_owned();
    let plot = Plot {
        title: label("Cost of a leg by open sessions"),
        x: Axis {
            label: label("open sessions"),
            log: true,
        },
        y: Axis {
            label: label("µs"),
            log: true,
        },
        series: vec![
            series(driver, |cost| &cost.driver),
            series(whole, |cost| &cost.whole),
        ],
    };
    Ok(Results {
        rows,
        plots: vec![plot],
        notes: vec![format!(
            "Open sessions: established ones on handles of {OF_A_HANDLE} each, none of them used meanwhile. \
             What is measured are full handshakes of another handle, one at a time; a leg's share of the \
             driver's time has the session's making and closing in it. {FEW} open sessions were measured \
             before and after."
        )],
    })
}

/// Who makes the handshakes that are measured.
struct Measured<'a> {
    gate: &'a dyn Gate,
    service: Service<'a>,
    clients: [Clients; 1],
    rounds: usize,
}

/// Microseconds a leg, by rounds.
struct Cost {
    driver: Vec<f64>,
    whole: Vec<f64>,
}

impl<'a> Measured<'a> {
    fn new(gate: &'a dyn Gate, site: &Site, effort: Effort) -> Result<Self> {
        Ok(Self {
            gate,
            service: Service::new(gate, site, FULL)?,
            clients: [Clients::new(site, FULL)?],
            rounds: effort.rounds * ROUNDS,
        })
    }

    fn cost(&self) -> Result<Cost> {
        let mut cost = Cost {
            driver: Vec::new(),
            whole: Vec::new(),
        };
        let work = |count| {
            handshakes(
                &self.service,
                &self.clients,
                Until::Count(count),
                End::Close,
            )
        };
        work(HANDSHAKES)?;
        self.gate.clock(true);
        for _ in 0..self.rounds {
            let before = self.gate.usage().driver;
            let Count { legs, .. } = work(HANDSHAKES)?;
            let spent = self.gate.usage().driver.saturating_sub(before);
            #[expect(clippy::cast_precision_loss, reason = "few")]
            cost.driver.push(spent.as_secs_f64() * 1e6 / legs as f64);
        }
        self.gate.clock(false);
        for _ in 0..self.rounds {
            let mut times = Vec::new();
            for _ in 0..TIMED {
                let took = |time: Duration| times.push(time.as_secs_f64() * 1e6);
                let made = establish(&self.service, &self.clients[0], took)?;
                made.close(&self.service)?;
            }
            cost.whole.push(mean(&times));
        }
        Ok(cost)
    }
}

/// Open sessions, on as many handles as they need.
struct Crowd<'a> {
    gate: &'a dyn Gate,
    site: &'a Site,
    services: Vec<Service<'a>>,
    sessions: usize,
}

impl<'a> Crowd<'a> {
    const fn new(gate: &'a dyn Gate, site: &'a Site) -> Self {
        Self {
            gate,
            site,
            services: Vec::new(),
            sessions: 0,
        }
    }

    fn grow(&mut self, to: usize) -> Result<()> {
        while self.sessions < to {
            let own = self.sessions % OF_A_HANDLE;
            if own == 0 {
                self.services
                    .push(Service::new(self.gate, self.site, FULL)?);
            }
            let Some(service) = self.services.last() else {
                break;
            };
            let count = (OF_A_HANDLE - own).min(to - self.sessions);
            open(service, self.site, count)?;
            self.sessions += count;
        }
        Ok(())
    }
}

/// Opens so many sessions.
fn open(service: &Service, site: &Site, count: usize) -> Result<()> {
    let left = Mutex::new(count);
    let take = || -> u64 {
        const PORTION: usize = 500;
        let mut left = left
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let taken = PORTION.min(*left);
        *left -= taken;
        taken as u64
    };
    let opened: Vec<Result<u64>> = thread::scope(|scope| {
        let work = || {
            let sorts: Vec<Clients> = (0..IN_FLIGHT)
                .map(|_| Clients::new(site, FULL))
                .collect::<Result<_>>()?;
            let mut opened = 0;
            loop {
                let portion = take();
                if portion == 0 {
                    return Ok(opened);
                }
                let until = Until::Count(portion);
                opened += handshakes(service, &sorts, until, End::Keep)?.handshakes;
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(joined).collect()
    });
    let opened: u64 = opened.into_iter().sum::<Result<u64>>()?;
    ensure!(opened == count as u64, "{opened} sessions and not {count}");
    Ok(())
}

fn mean(times: &[f64]) -> f64 {
    times.iter().sum::<f64>() / number(times.len())
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn number(count: usize) -> f64 {
    count as f64
}
