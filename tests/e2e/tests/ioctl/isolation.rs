//! Two programs on the machine: neither can use, see, exhaust or slow to a stop what the other has.

use crate::probe::{PROBE, lab, lab_with, probe, restart_with};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::{env, time::Duration};
use tlsgate_e2e::{Lab, report};
use tlsgate_lab_control::ksecdd::{Completion, Latency};
use tlsgate_lab_machine::{Parameter, Running, wait_until};

/// How long what must happen may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the other program takes (`exhaust.rs` of the probe), under these settings: never more than
/// half of what there is.
const THINGS: [&str; 9] = [
    "sessions",
    "credentials",
    "pending",
    "operations",
    "orphans",
    "input",
    "quarantine",
    "failures",
    "half-way",
];
const SETTINGS: [(&str, u32); 18] = [
    ("Sessions", 64),
    ("SessionsPerHandle", 32),
    ("Credentials", 16),
    ("CredentialsPerHandle", 8),
    ("PendingRequests", 40),
    ("PendingRequestsPerHandle", 20),
    ("Operations", 96),
    ("OperationsPerHandle", 48),
    ("LegsInside", 32),
    ("LegsInsidePerHandle", 16),
    ("Orphans", 8),
    ("OrphansPerHandle", 4),
    ("InputMiB", 2),
    ("InputMiBPerHandle", 1),
    ("Quarantined", 8),
    ("QuarantinedPerHandle", 4),
    ("FailuresPerSecond", 1),
    ("FailuresBurst", 6),
];

#[test]
fn one_program_cannot_use_or_exhaust_what_another_has() -> Result<()> {
    let settings = SETTINGS.map(|(name, value)| (name, Parameter::Number(value)));
    let lab = lab_with(&settings)?;
    let mut neighbour = start(&lab, &["neighbour"])?;
    let ids = neighbour.line_after("ids ")?;
    let mut stranger = vec!["stranger"];
    stranger.extend(ids.split(' '));
    probe(&lab, &stranger)?;
    is_fine(&mut neighbour)?;
    for (number, thing) in THINGS.iter().enumerate() {
        let other = start(&lab, &["exhaust", thing])?;
        let exhausted = other.line_after("exhausted");
        lab.machine().check()?;
        exhausted.with_context(|| format!("taking {thing}"))?;
        is_fine(&mut neighbour).with_context(|| format!("beside one that has all its {thing}"))?;
        // It goes as it will: a neighbour's death is nobody's concern.
        if number % 2 == 0 {
            other.kill()?;
        } else {
            other.end()?;
        }
        is_fine(&mut neighbour).with_context(|| format!("after one that had all its {thing}"))?;
        lab.complete(Completion::Late)?;
        lab.release(None)?;
        wait_until("ksecdd to have no call", PATIENCE, || {
            Ok((lab.ksecdd()?.in_flight == 0).then_some(()))
        })?;
    }
    let code = neighbour.end()?;
    ensure!(code == Some(0), "the neighbour ended with {code:?}");
    lab.finish()
}

fn is_fine(neighbour: &mut Running) -> Result<()> {
    neighbour.say("do")?;
    neighbour.line_after("fine").map(drop)
}

fn start(lab: &Lab, scenario: &[&str]) -> Result<Running> {
    let mut arguments = vec!["--thumbprint", lab.thumbprint()];
    arguments.extend(scenario);
    lab.machine().spawn(PROBE, &arguments)
}

/// What the engine can do: so many calls at a time, each for so many microseconds.
const WORKERS: usize = 4;
const LATENCY: u64 = 20_000;

const CAPACITY: u64 = WORKERS as u64 * 1_000_000 / LATENCY;

/// Of the engine's capacity, in percent, and what must be left of the throughput, in percent.
const OFFERED: u64 = 30;
const LEAST: f64 = 80.0;

/// First legs that the flood has under way: more than one handle may have inside ksecdd.
const AT_ONCE: &str = "400";

/// Names how often the two are compared, and for how many seconds each time; `cargo xtask isolation` sets
/// them.
const ROUNDS: &str = "TLSGATE_ISOLATION_ROUNDS";
const SECONDS: &str = "TLSGATE_ISOLATION_SECONDS";

/// How many may be inside ksecdd, and how many seconds it takes until a flood has filled every queue.
struct Places {
    name: &'static str,
    settings: &'static [(&'static str, Parameter<'static>)],
    warm: u64,
}

/// With so few places in ksecdd that the flood's queue there is short; and under the usual settings, where
/// a call waits for seconds, and what is offered at first comes through late. The latter takes too
/// long for every day.
const PLACES: [Places; 2] = [
    Places {
        name: "16 calls inside ksecdd, 8 of a handle",
        settings: &[
            ("LegsInside", Parameter::Number(16)),
            ("LegsInsidePerHandle", Parameter::Number(8)),
        ],
        warm: 3,
    },
    Places {
        name: "256 calls inside ksecdd, 192 of a handle",
        settings: &[],
        warm: 15,
    },
];

/// One program's handshakes over a while.
#[derive(Clone, Copy, Debug, Serialize)]
struct Measured {
    offered: u64,
    completed: u64,
    median_us: u64,
    p99_us: u64,
}

/// The same without a flood beside it and with one.
#[derive(Debug, Serialize)]
struct Compared {
    places: &'static str,
    /// Of ksecdd, for one handshake.
    calls_a_handshake: u64,
    without: Measured,
    with: Measured,
    /// Of the throughput without, in percent.
    left: f64,
    flood_legs_per_second: u64,
}

#[derive(Serialize)]
struct Body<'a> {
    tried: usize,
    failed: usize,
    engine_calls_per_second: u64,
    offered_percent: u64,
    least_percent: f64,
    rows: &'a [Compared],
}

#[test]
fn a_flood_leaves_another_program_its_throughput() -> Result<()> {
    let number = |name, usual| env::var(name).map_or(Ok(usual), |text| text.parse());
    let (rounds, seconds) = (number(ROUNDS, 0)?, number(SECONDS, 4)?);
    let lab = lab()?;
    let mut rows = Vec::new();
    // Both only where there is time for it.
    let places = if rounds == 0 { &PLACES[..1] } else { &PLACES };
    for places in places {
        restart_with(&lab, places.settings)?;
        lab.switch(|switches| {
            switches.completion = Completion::Late;
            switches.workers = WORKERS;
            switches.latency = Latency::Fixed(LATENCY);
        })?;
        for _ in 0..rounds.max(1) {
            let row = compared(&lab, places, seconds);
            lab.machine().check()?;
            rows.push(row?);
            println!("{:#?}", rows.last());
            report::give(&body(&rows))?;
        }
    }
    let body = body(&rows);
    ensure!(
        body.failed == 0,
        "{} of {} times less than {LEAST} % was left",
        body.failed,
        body.tried
    );
    lab.finish()
}

fn body(rows: &[Compared]) -> Body<'_> {
    Body {
        tried: rows.len(),
        failed: rows.iter().filter(|row| row.left < LEAST).count(),
        engine_calls_per_second: CAPACITY,
        offered_percent: OFFERED,
        least_percent: LEAST,
        rows,
    }
}

fn compared(lab: &Lab, places: &Places, seconds: u64) -> Result<Compared> {
    let mut steady = start(lab, &["steady"])?;
    // Two legs and the deletion; more where ksecdd takes a record at a time, or wants more room than it was given.
    let [calls] = numbers(&steady.line_after("ready ")?)?;
    let every = 1_000_000 * calls * 100 / (CAPACITY * OFFERED);
    let without = measured(&mut steady, every, 0, seconds)?;
    let mut flood = start(lab, &["flood", AT_ONCE])?;
    flood.line_after("flooding")?;
    let with = measured(&mut steady, every, places.warm, seconds)?;
    flood.close_input();
    let told = flood.line_after("flooded ")?;
    let [legs, milliseconds] = numbers(&told)?;
    flood.end()?;
    steady.end()?;
    Ok(Compared {
        places: places.name,
        calls_a_handshake: calls,
        without,
        with,
        left: percent(with.completed, without.completed),
        flood_legs_per_second: legs * 1_000 / milliseconds.max(1),
    })
}

fn measured(steady: &mut Running, every: u64, warm: u64, seconds: u64) -> Result<Measured> {
    steady.say(&format!("{every} {warm} {seconds}"))?;
    let [offered, completed, median_us, p99_us] = numbers(&steady.line_after("measured ")?)?;
    Ok(Measured {
        offered,
        completed,
        median_us,
        p99_us,
    })
}

fn numbers<const COUNT: usize>(text: &str) -> Result<[u64; COUNT]> {
    let numbers: Vec<u64> = text
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .with_context(|| format!("not numbers: {text}"))?;
    let count = numbers.len();
    numbers
        .try_into()
        .map_err(|_| anyhow::anyhow!("{count} numbers: {text}"))
}

#[expect(clippy::cast_precision_loss, reason = "some thousands at most")]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}
