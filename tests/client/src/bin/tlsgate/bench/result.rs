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

/// Handshakes of all turns.
#[derive(Default)]
pub struct Sum(Option<Handshakes>);

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
        match &mut self.0 {
            None => self.0 = Some(turn),
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
    latency_microseconds: Latency,
    sealed_bytes_per_second: Option<f64>,
    unsealed_bytes_per_second: Option<f64>,
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
    latency_p50: f64,
    sealed_bytes_per_second: Option<f64>,
    unsealed_bytes_per_second: Option<f64>,
}

impl Run {
    pub fn new(options: &Bench, environment: Environment, measured: Vec<Measured>) -> Self {
        let servers: Vec<Row> = measured.into_iter().map(Row::new).collect();
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
            latency_microseconds: Latency::default(),
            sealed_bytes_per_second: measured.bytes.map(|it| Rate::per_second(it.sealed)),
            unsealed_bytes_per_second: measured.bytes.map(|it| Rate::per_second(it.unsealed)),
        };
        if let Some(all) = measured.handshakes.0 {
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

impl Ratio {
    fn new(ours: &Row, theirs: &Row) -> Self {
        let both = |ours: Option<f64>, theirs: Option<f64>| Some(ours? / theirs?);
        Self {
            handshakes_per_second: ours.handshakes_per_second / theirs.handshakes_per_second,
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
        if let Some(ratio) = &self.ratio {
            write!(
                f,
                "ratio    {:>9.2} handshakes/s   {:.2} p50",
                ratio.handshakes_per_second, ratio.latency_p50
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
        assert_eq!(ratio.sealed_bytes_per_second, None);
    }

    #[test]
    fn a_rate_is_bytes_by_seconds() {
        let mut rate = Bytes::default();
        for _ in 0..2 {
            rate.add(Bytes {
                sealed: Rate {
                    bytes: 500,
                    time: Duration::from_millis(250),
                },
                unsealed: Rate::default(),
            });
        }
        assert!((rate.sealed.per_second() - 2000.0).abs() < 1e-9);
    }
}
