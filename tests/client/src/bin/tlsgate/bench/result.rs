//! What was measured, for people and for scripts.

use super::{
    Bench, Peer,
    load::Handshakes,
    records::{Bytes, Rate},
};
use crate::{cli, selftest::Environment};
use serde::Serialize;
use std::fmt;

/// One server's measurements, all turns together.
pub struct Measured {
    pub name: &'static str,
    pub handshakes: Sum,
    pub bytes: Option<Bytes>,
}

/// Empty IOCTLs, and those of handshakes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trips {
    /// One at a time.
    pub alone: Rate,
    /// As many at a time as connections shake hands.
    pub together: Rate,
    /// Those of so many handshakes.
    pub ioctls: u64,
    pub handshakes: u64,
}

/// Handshakes of all turns.
#[derive(Default)]
pub struct Sum {
    all: Option<Handshakes>,
    /// Handshakes a second in each turn.
    rates: Vec<f64>,
}

impl Measured {
    /// Nothing yet.
    pub fn of(name: &'static str) -> Self {
        Self {
            name,
            handshakes: Sum::default(),
            bytes: None,
        }
    }
}

impl Sum {
    /// One turn more.
    pub fn add(&mut self, turn: Handshakes) {
        self.rates
            .push(float(turn.latency.len()) / turn.time.as_secs_f64());
        match &mut self.all {
            None => self.all = Some(turn),
            Some(all) => {
                all.latency += turn.latency;
                all.time += turn.time;
                all.resumed += turn.resumed;
            }
        }
    }
}

/// The whole result.
#[derive(Debug, Serialize)]
pub struct Run {
    environment: Environment,
    /// As on the command line.
    tls: &'static str,
    resumed: bool,
    peer: &'static str,
    connections: u16,
    servers: Vec<Row>,
    empty_ioctls: EmptyIoctls,
    /// The first server's numbers divided by the second's, with --compare.
    ratio: Option<Ratio>,
}

/// A server.
#[derive(Debug, Serialize)]
struct Row {
    server: &'static str,
    handshakes: u64,
    resumed: u64,
    seconds: f64,
    handshakes_per_second: f64,
    /// Of each turn.
    turns_handshakes_per_second: Vec<f64>,
    latency_microseconds: Latency,
    sealed_bytes_per_second: Option<f64>,
    unsealed_bytes_per_second: Option<f64>,
}

/// What it costs to carry IOCTLs that do nothing.
#[derive(Debug, Serialize)]
struct EmptyIoctls {
    /// With as many on their way as connections shake hands.
    per_second: f64,
    /// Of one that goes alone.
    microseconds_alone: f64,
    /// IOCTLs that a handshake takes; those of its first byte and of its end among them.
    per_handshake: f64,
    /// What so many empty ones take of the time of a handshake: 1 is all of it.
    share_of_a_handshake: f64,
}

#[derive(Debug, Default, Serialize)]
struct Latency {
    p50: u64,
    p90: u64,
    p99: u64,
    max: u64,
}

#[derive(Debug, Serialize)]
struct Ratio {
    handshakes_per_second: f64,
    /// Half the distance between the quartiles of the turns' ratios.
    handshakes_per_second_spread: f64,
    latency_p50: f64,
    sealed_bytes_per_second: Option<f64>,
    unsealed_bytes_per_second: Option<f64>,
}

impl Run {
    pub fn new(
        options: &Bench,
        environment: Environment,
        measured: Vec<Measured>,
        trips: Trips,
    ) -> Self {
        let servers: Vec<Row> = measured.into_iter().map(Row::new).collect();
        let ours = servers.first().map_or(0.0, |row| row.handshakes_per_second);
        let ratio = match &servers[..] {
            [ours, theirs] => Some(Ratio::new(ours, theirs)),
            _ => None,
        };
        Self {
            environment,
            tls: match options.tls {
                cli::Version::Tls12 => "1.2",
                cli::Version::Tls13 => "1.3",
            },
            resumed: options.resumed,
            peer: match options.peer {
                Peer::Rustls => "rustls",
                Peer::Tlsgate => "tlsgate",
            },
            connections: options.connections,
            empty_ioctls: EmptyIoctls::new(trips, ours),
            servers,
            ratio,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate has no more digits")]
const fn float(count: u64) -> f64 {
    count as f64
}

impl Row {
    fn new(measured: Measured) -> Self {
        let mut row = Self {
            server: measured.name,
            handshakes: 0,
            resumed: 0,
            seconds: 0.0,
            handshakes_per_second: 0.0,
            turns_handshakes_per_second: measured.handshakes.rates,
            latency_microseconds: Latency::default(),
            sealed_bytes_per_second: measured.bytes.map(|it| Rate::per_second(it.sealed)),
            unsealed_bytes_per_second: measured.bytes.map(|it| Rate::per_second(it.unsealed)),
        };
        if let Some(all) = measured.handshakes.all {
            row.handshakes = all.latency.len();
            row.resumed = all.resumed;
            row.seconds = all.time.as_secs_f64();
            row.handshakes_per_second = float(row.handshakes) / row.seconds;
            row.latency_microseconds = Latency {
                p50: all.latency.value_at_quantile(0.5),
                p90: all.latency.value_at_quantile(0.9),
                p99: all.latency.value_at_quantile(0.99),
                max: all.latency.max(),
            };
        }
        row
    }
}

impl EmptyIoctls {
    /// Beside so many handshakes a second.
    fn new(trips: Trips, handshakes_per_second: f64) -> Self {
        let per_second = trips.together.per_second();
        let per_handshake = float(trips.ioctls) / float(trips.handshakes);
        Self {
            per_second,
            microseconds_alone: 1e6 / trips.alone.per_second(),
            per_handshake,
            share_of_a_handshake: per_handshake / per_second * handshakes_per_second,
        }
    }
}

/// Half the distance between the quartiles of the turns' ratios.
fn spread(ours: &[f64], theirs: &[f64]) -> f64 {
    let mut ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
    ratios.sort_by(f64::total_cmp);
    // The middle of either half.
    let middle = |half: &[f64]| match half.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => half[odd / 2],
        even => f64::midpoint(half[even / 2 - 1], half[even / 2]),
    };
    let half = ratios.len().div_ceil(2);
    (middle(&ratios[ratios.len() - half..]) - middle(&ratios[..half])) / 2.0
}

impl Ratio {
    fn new(ours: &Row, theirs: &Row) -> Self {
        let both = |ours: Option<f64>, theirs: Option<f64>| Some(ours? / theirs?);
        Self {
            handshakes_per_second: ours.handshakes_per_second / theirs.handshakes_per_second,
            handshakes_per_second_spread: spread(
                &ours.turns_handshakes_per_second,
                &theirs.turns_handshakes_per_second,
            ),
            latency_p50: float(ours.latency_microseconds.p50)
                / float(theirs.latency_microseconds.p50),
            sealed_bytes_per_second: both(
                ours.sealed_bytes_per_second,
                theirs.sealed_bytes_per_second,
            ),
            unsealed_bytes_per_second: both(
                ours.unsealed_bytes_per_second,
                theirs.unsealed_bytes_per_second,
            ),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "on: {}", self.environment.line())?;
        writeln!(
            f,
            "TLS {}, {} handshakes, {} connections at a time, clients: {}",
            self.tls,
            if self.resumed { "resumed" } else { "whole" },
            self.connections,
            self.peer
        )?;
        for row in &self.servers {
            let Latency { p50, p90, p99, max } = row.latency_microseconds;
            writeln!(
                f,
                "{:<8} {:>9.1} handshakes/s   us: p50 {p50}, p90 {p90}, p99 {p99}, max {max}   \
                 ({} in {:.1} s, {} resumed)",
                row.server, row.handshakes_per_second, row.handshakes, row.seconds, row.resumed
            )?;
            if let (Some(sealed), Some(unsealed)) =
                (row.sealed_bytes_per_second, row.unsealed_bytes_per_second)
            {
                writeln!(
                    f,
                    "{:<8} {:>9.1} MB/s sealed   {:.1} MB/s unsealed",
                    row.server,
                    sealed / MEGA,
                    unsealed / MEGA
                )?;
            }
        }
        let empty = &self.empty_ioctls;
        writeln!(
            f,
            "IOCTLs   {:>9.1} empty ones/s, one alone {:.0} us; a handshake has {:.1}: {:.0} % of its time",
            empty.per_second,
            empty.microseconds_alone,
            empty.per_handshake,
            empty.share_of_a_handshake * 100.0
        )?;
        if let Some(ratio) = &self.ratio {
            write!(
                f,
                "ratio    {:>9.2} ± {:.2} handshakes/s   {:.2} p50",
                ratio.handshakes_per_second, ratio.handshakes_per_second_spread, ratio.latency_p50
            )?;
            if let (Some(sealed), Some(unsealed)) = (
                ratio.sealed_bytes_per_second,
                ratio.unsealed_bytes_per_second,
            ) {
                write!(f, "   {sealed:.2} sealed   {unsealed:.2} unsealed")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A million bytes.
const MEGA: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn measured(name: &'static str, microseconds: &[u64], seconds: u64) -> Measured {
        let mut measured = Measured::of(name);
        for turn in microseconds.chunks(2) {
            let mut handshakes = Handshakes::new().unwrap();
            for one in turn {
                handshakes.latency.record(*one).unwrap();
            }
            handshakes.time = Duration::from_secs(seconds);
            measured.handshakes.add(handshakes);
        }
        measured
    }

    #[test]
    fn turns_are_added_up_and_compared() {
        let ours = Row::new(measured("a", &[100, 200, 300, 400], 1));
        assert_eq!(ours.handshakes, 4);
        assert!((ours.handshakes_per_second - 2.0).abs() < 1e-9);
        let Latency { p50, max, .. } = ours.latency_microseconds;
        assert_eq!((p50, max), (200, 400));
        let theirs = Row::new(measured("b", &[50, 100, 150, 200], 2));
        let ratio = Ratio::new(&ours, &theirs);
        assert!((ratio.handshakes_per_second - 2.0).abs() < 1e-9);
        assert!((ratio.latency_p50 - 2.0).abs() < 1e-9);
        assert!(ratio.handshakes_per_second_spread.abs() < 1e-9);
        assert_eq!(ratio.sealed_bytes_per_second, None);
    }

    #[test]
    fn the_spread_is_half_the_distance_between_quartiles() {
        let near = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(near(spread(&[], &[]), 0.0) && near(spread(&[3.0], &[2.0]), 0.0));
        let theirs = [1.0; 4];
        // Halves 1, 2 and 4, 8: quartiles 1.5 and 6.
        assert!(near(spread(&[8.0, 1.0, 4.0, 2.0], &theirs), 2.25));
    }

    #[test]
    fn empty_ioctls_have_their_share_of_a_handshake() {
        let second = |count| Rate {
            count,
            time: Duration::from_secs(1),
        };
        let trips = Trips {
            alone: second(2_000),
            together: second(10_000),
            ioctls: 88,
            handshakes: 22,
        };
        let empty = EmptyIoctls::new(trips, 500.0);
        assert!((empty.microseconds_alone - 500.0).abs() < 1e-9);
        assert!((empty.per_handshake - 4.0).abs() < 1e-9);
        assert!((empty.share_of_a_handshake - 0.2).abs() < 1e-9);
    }

    #[test]
    fn a_rate_is_bytes_by_seconds() {
        let mut rate = Bytes::default();
        for _ in 0..2 {
            rate.add(Bytes {
                sealed: Rate {
                    count: 500,
                    time: Duration::from_millis(250),
                },
                unsealed: Rate::default(),
            });
        }
        assert!((rate.sealed.per_second() - 2000.0).abs() < 1e-9);
    }
}
