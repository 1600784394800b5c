//! What a handshake costs in the driver, and what it allocates.

use crate::{
    Bound, Effort, Engine, Gate, Results, Row, Site, Usage,
    drive::{Count, End, Until, establish, handshakes},
    peer::{Clients, Servers, hear, speak},
    rounds::{Versus, quantile, versus},
    service::{FULL, Line, Service},
};
use anyhow::Result;
use std::time::{Duration, Instant};

/// Handshakes of a round. Few: a round in which something else has had the processor is one of many.
const HANDSHAKES: u64 = 10;

/// Handshakes in flight, where there are many: as many as of one thread of `handshakes`.
const IN_FLIGHT: usize = 16;

/// Handshakes of a round with many in flight.
const MANY: u64 = 100;

/// Handshakes before anything is counted: what is kept to be used again has been made by then, also for those that
/// overlap now and then, one's end with the next one's beginning.
const WARM: u64 = 500;

/// Rounds for each of a comparison's.
const ROUNDS: usize = 30;

/// Legs of one session: updates of its keys. rustls bears some thirty without data between them.
const LEGS: u64 = 20;

/// Sessions with such legs.
const SESSIONS: u64 = 5;

/// What each call would allocate that has its own async context, and its own pair of buffers.
const OF_A_CALL: f64 = 3.0;

/// The driver's own time over a handshake, and its allocations.
///
/// # Errors
///
/// A handshake fails.
pub fn run(gate: &dyn Gate, site: &Site, effort: Effort) -> Result<Results> {
    gate.engine(Engine::Inline)?;
    let service = Service::new(gate, site, FULL)?;
    let servers = Servers::new(site, FULL)?;
    let clients = [Clients::new(site, FULL)?];
    let mut spent = Vec::new();
    handshakes(&service, &clients, Until::Count(WARM), End::Close)?;
    let mut rows = many_in_flight(gate, &service, site, effort)?;
    let (before, calls_before) = (gate.usage(), service.statistics()?.calls);
    let mut done = Count::default();
    gate.clock(true);
    let found = versus(
        effort.rounds * ROUNDS,
        || {
            let begin = gate.usage();
            let count = handshakes(&service, &clients, Until::Count(HANDSHAKES), End::Close)?;
            done = done.and(count);
            let of_round = Spent::between(begin, gate.usage(), count);
            spent.push(of_round);
            Ok(of_round.own)
        },
        || engine_time(&servers, &clients[0]),
    )?;
    gate.clock(false);
    let (after, calls_after) = (gate.usage(), service.statistics()?.calls);
    // The round in front does not count.
    let spent = spent.get(1..).unwrap_or_default();
    rows.extend(times(spent, &found));
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let each = |before: u64, after: u64, count: u64| (after - before) as f64 / count as f64;
    let none = Some(Bound::AtMost(0.0));
    let legs = Legs::of_sessions(gate, &service, &clients[0])?;
    let calls = each(calls_before, calls_after, done.legs);
    for (name, value, bound) in [
        (
            "pool allocations a leg, of a session that exists",
            each(0, legs.allocations, legs.count),
            none,
        ),
        (
            "pool allocations a full handshake, the session's making and closing included",
            each(
                before.pool_allocations,
                after.pool_allocations,
                done.handshakes,
            ),
            none,
        ),
        (
            "async contexts made a leg, of a session that exists",
            each(0, legs.contexts, legs.count),
            none,
        ),
        (
            "async contexts made a full handshake",
            each(
                before.async_contexts_created,
                after.async_contexts_created,
                done.handshakes,
            ),
            None,
        ),
        (
            "allocations a leg, had each call its own async context and pair of buffers",
            calls * OF_A_CALL,
            None,
        ),
    ] {
        rows.push(Row::once(name, "", value, bound));
    }
    Ok(Results {
        rows,
        plots: Vec::new(),
        notes: vec![format!(
            "A handshake's cost: full TLS 1.3 handshakes, ECDSA P-256, X25519; the session's closing is part of it. \
             With {IN_FLIGHT} in flight, in rounds of {MANY}, both times are of the same handshakes; ksecdd's is that of \
             the stand-in, rustls in it. One at a time, in rounds of {HANDSHAKES}, each leg wakes a thread that has \
             slept and a processor that has: the driver's code and data have to be fetched again, while the engine's \
             time there is that of rustls' server called directly, over and over, from its making to its end. A leg \
             of a session that exists is an update of its keys."
        )],
    })
}

/// What the legs of sessions that exist have allocated.
#[derive(Default)]
struct Legs {
    count: u64,
    allocations: u64,
    contexts: u64,
}

impl Legs {
    fn of_sessions(gate: &dyn Gate, service: &Service, clients: &Clients) -> Result<Self> {
        let line = Line::new();
        let mut all = Self::default();
        for round in 0..=SESSIONS {
            let mut session = establish(service, clients, |_| {})?;
            let before = gate.usage();
            for _ in 0..LEGS {
                session.update_keys(service, &line)?;
            }
            let after = gate.usage();
            session.close(service)?;
            // The first one warms up.
            if round > 0 {
                all.count += LEGS;
                all.allocations += after.pool_allocations - before.pool_allocations;
                all.contexts += after.async_contexts_created - before.async_contexts_created;
            }
        }
        Ok(all)
    }
}

/// Microseconds of the driver over a handshake.
#[derive(Clone, Copy)]
struct Spent {
    /// In its own code.
    own: f64,
    /// In what it imports.
    imported: f64,
    /// In ksecdd.
    engine: f64,
    /// From a submission until an issuer takes it, each.
    hop: f64,
}

impl Spent {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    fn between(before: Usage, after: Usage, count: Count) -> Self {
        let each = |time: Duration, count: u64| time.as_secs_f64() * 1e6 / count.max(1) as f64;
        let imported = after.imported.saturating_sub(before.imported);
        let driver = after.driver.saturating_sub(before.driver);
        Self {
            own: each(driver.saturating_sub(imported), count.handshakes),
            imported: each(imported, count.handshakes),
            engine: each(after.engine.saturating_sub(before.engine), count.handshakes),
            hop: each(
                after.hops.saturating_sub(before.hops),
                after.hop_count - before.hop_count,
            ),
        }
    }
}

/// What handshakes cost while the processors have nothing else to do than handshakes.
fn many_in_flight(
    gate: &dyn Gate,
    service: &Service,
    site: &Site,
    effort: Effort,
) -> Result<Vec<Row>> {
    let clients: Result<Vec<Clients>> = (0..IN_FLIGHT).map(|_| Clients::new(site, FULL)).collect();
    let clients = clients?;
    let mut spent = Vec::new();
    gate.clock(true);
    // The round in front warms up.
    for _ in 0..=effort.rounds * ROUNDS {
        let begin = gate.usage();
        let count = handshakes(service, &clients, Until::Count(MANY), End::Close)?;
        spent.push(Spent::between(begin, gate.usage(), count));
    }
    gate.clock(false);
    let of = |part: fn(&Spent) -> f64| spent.iter().skip(1).map(part).collect::<Vec<_>>();
    let row = |name, unit, part, bound| Row::of_rounds(name, unit, &of(part), bound);
    // Of all rounds together: a thread that loses the processor in the midst of what it does makes that longer,
    // ksecdd's part in most rounds, the driver's short one in a few, which a median would leave out.
    let sum = |part| of(part).iter().sum::<f64>();
    let share = 100.0 * sum(|spent| spent.own) / sum(|spent| spent.engine);
    Ok(vec![
        row(
            "ksecdd's time over a full handshake",
            "µs",
            |spent| spent.engine,
            None,
        ),
        row(
            "the driver's own code over a full handshake",
            "µs",
            |spent| spent.own,
            None,
        ),
        Row {
            value: share,
            ..row(
                "the driver's own code, of ksecdd's time",
                "%",
                |spent| 100.0 * spent.own / spent.engine,
                Some(Bound::AtMost(3.0)),
            )
        },
        row(
            "what the driver imports (stand-ins, Wine), of ksecdd's time",
            "%",
            |spent| 100.0 * spent.imported / spent.engine,
            None,
        ),
    ])
}

fn times(spent: &[Spent], found: &Versus) -> Vec<Row> {
    let of = |part: fn(&Spent) -> f64| spent.iter().map(part).collect::<Vec<_>>();
    let share = |part: &[f64]| {
        let both = part.iter().zip(&found.theirs);
        both.map(|(part, engine)| 100.0 * part / engine)
            .collect::<Vec<_>>()
    };
    let (imported, hop) = (of(|spent| spent.imported), of(|spent| spent.hop));
    let all = of(|spent| spent.own + spent.imported);
    let row = |name, unit, rounds: &[f64], bound| Row::of_rounds(name, unit, rounds, bound);
    let engine = "the engine's time over a full handshake, one at a time";
    let own = "the driver's own code over a full handshake, one at a time";
    let with =
        "the driver with what it imports (stand-ins, Wine) over a full handshake, one at a time";
    vec![
        row(engine, "µs", &found.theirs, None),
        row(own, "µs", &found.ours, None),
        row(
            "the driver's own code, of the engine's time, one at a time",
            "%",
            &share(&found.ours),
            None,
        ),
        row(with, "µs", &all, None),
        row(
            "what the driver imports, of the engine's time, one at a time",
            "%",
            &share(&imported),
            None,
        ),
        row("from a submission until an issuer has it", "µs", &hop, None),
        // The least that was seen: what is left when nothing else has the processor.
        Row::once(
            "the driver's own code over a full handshake, one at a time, the best tenth of the rounds",
            "µs",
            quantile(&found.ours, 0.1),
            None,
        ),
    ]
}

/// Microseconds that rustls' server takes over a handshake.
#[expect(clippy::cast_precision_loss, reason = "few")]
fn engine_time(servers: &Servers, clients: &Clients) -> Result<f64> {
    let mut time = Duration::ZERO;
    for _ in 0..HANDSHAKES {
        let mut client = clients.client()?;
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        speak(&mut client, &mut to_server)?;
        let begin = Instant::now();
        let mut server = servers.server()?;
        time += begin.elapsed();
        while client.is_handshaking() || server.is_handshaking() {
            let begin = Instant::now();
            hear(&mut server, &to_server)?;
            to_client.clear();
            speak(&mut server, &mut to_client)?;
            time += begin.elapsed();
            hear(&mut client, &to_client)?;
            to_server.clear();
            speak(&mut client, &mut to_server)?;
        }
        let begin = Instant::now();
        drop(server);
        time += begin.elapsed();
    }
    Ok(time.as_secs_f64() * 1e6 / HANDSHAKES as f64)
}
