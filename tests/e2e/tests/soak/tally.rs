//! What became of connections, by kind, and how long their handshakes took.

use anyhow::{Error, Result};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// So many failures of a kind are told in words.
const TOLD: usize = 5;

/// The longest handshake that is told apart, in microseconds: five minutes.
const LONGEST: u64 = 300_000_000;

/// Counts of a whole run; any thread may add to them.
#[derive(Default)]
pub struct Tally(Mutex<BTreeMap<&'static str, Kind>>);

/// Counts of one kind of connection.
struct Kind {
    tried: u64,
    failed: u64,
    /// Given up by the peer itself: its time was up.
    by_deadline: u64,
    /// The first failures.
    failures: Vec<String>,
    /// In microseconds.
    handshakes: Histogram<u64>,
}

impl Tally {
    /// One connection whose peer does nothing wrong, and what came of it.
    pub fn honest(&self, kind: &'static str, outcome: &Result<()>) {
        self.with(kind, |counts| {
            counts.tried += 1;
            let Err(error) = outcome else { return };
            let counter = if is_deadline(error) {
                &mut counts.by_deadline
            } else {
                &mut counts.failed
            };
            *counter += 1;
            if counts.failures.len() < TOLD {
                counts.failures.push(format!("{error:#}"));
            }
        });
    }

    /// So many connections that were made to be broken.
    pub fn hostile(&self, kind: &'static str, count: u64) {
        self.with(kind, |counts| counts.tried += count);
    }

    /// The time that a handshake took.
    pub fn handshake(&self, kind: &'static str, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(LONGEST);
        self.with(kind, |counts| {
            counts.handshakes.saturating_record(micros.max(1));
        });
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Connections of all kinds.
    pub fn tried(&self) -> u64 {
        self.lock().values().map(|kind| kind.tried).sum()
    }

    /// Of these, given up by an honest peer whose time was up.
    pub fn by_deadline(&self) -> u64 {
        self.lock().values().map(|kind| kind.by_deadline).sum()
    }

    /// Of these, failed in another way.
    pub fn failed(&self) -> u64 {
        self.lock().values().map(|kind| kind.failed).sum()
    }

    /// What failed, in words: some of it.
    pub fn failures(&self) -> Vec<String> {
        let kinds = self.lock();
        let each = kinds.iter().flat_map(|(name, kind)| {
            kind.failures
                .iter()
                .map(move |why| format!("{name}: {why}"))
        });
        each.collect()
    }

    /// A row a kind.
    pub fn rows(&self) -> Vec<Value> {
        let kinds = self.lock();
        kinds.iter().map(|(name, kind)| kind.row(name)).collect()
    }

    fn with(&self, kind: &'static str, change: impl FnOnce(&mut Kind)) {
        change(self.lock().entry(kind).or_insert_with(Kind::new));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Kind>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kind {
    fn new() -> Self {
        Self {
            tried: 0,
            failed: 0,
            by_deadline: 0,
            failures: Vec::new(),
            handshakes: Histogram::new_with_bounds(1, LONGEST, 3)
                .expect("bounds that are in order"),
        }
    }

    fn row(&self, name: &str) -> Value {
        let mut row = json!({ "kind": name, "tried": self.tried, "failed": self.failed });
        if self.by_deadline > 0 {
            row["by_deadline"] = json!(self.by_deadline);
        }
        if !self.failures.is_empty() {
            row["failures"] = json!(self.failures);
        }
        if !self.handshakes.is_empty() {
            let at = |part| self.handshakes.value_at_quantile(part);
            row["handshakes"] = json!({
                "count": self.handshakes.len(),
                "p50_us": at(0.5),
                "p90_us": at(0.9),
                "p99_us": at(0.99),
                "max_us": self.handshakes.max(),
            });
        }
        row
    }
}

/// Whether a socket's time-out is behind the error: those of honest peers are their deadlines.
fn is_deadline(error: &Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().or_else(|| {
            let ssl = cause.downcast_ref::<openssl::ssl::Error>()?;
            ssl.io_error()
        });
        io.is_some_and(|io| {
            matches!(
                io.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_told_from_failures() {
        let tally = Tally::default();
        tally.honest("a", &Ok(()));
        tally.honest("a", &Err(io::Error::from(io::ErrorKind::WouldBlock).into()));
        tally.honest(
            "a",
            &Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
        );
        tally.handshake("a", Duration::from_millis(2));
        assert_eq!(
            (tally.tried(), tally.by_deadline(), tally.failed()),
            (3, 1, 1)
        );
        let row = &tally.rows()[0];
        assert_eq!(row["handshakes"]["count"], 1);
        assert_eq!(tally.failures().len(), 2);
    }
}
