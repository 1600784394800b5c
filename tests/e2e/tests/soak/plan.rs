//! How long the run is, and what decides over what happens in it.

use anyhow::{Context, Result};
use std::{
    env, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Names how many seconds the run takes; 0 is no run at all.
const SECONDS: &str = "TLSGATE_SOAK_SECONDS";

/// Names the seed.
const SEED: &str = "TLSGATE_SOAK_SEED";

/// Says that the run ends early when the standard input does, for programs that start it.
const UNTIL_STDIN_CLOSES: &str = "TLSGATE_SOAK_UNTIL_STDIN_CLOSES";

/// Enough for whoever runs all tests of this package by hand.
const USUAL: u64 = 30;

/// What a run is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long there are load and rest by turns, from the end of the warm-up on.
    pub length: Duration,
    /// Decides what each thread does, and how the stand-in behaves.
    pub seed: u64,
    stopped: Arc<AtomicBool>,
}

impl Plan {
    /// What the environment says; nothing if no run is wanted.
    pub fn of_environment() -> Result<Option<Self>> {
        let seconds = number(SECONDS)?.unwrap_or(USUAL);
        let seed = number(SEED)?.unwrap_or(1);
        if seconds == 0 {
            return Ok(None);
        }
        let stopped = Arc::new(AtomicBool::new(false));
        if env::var_os(UNTIL_STDIN_CLOSES).is_some() {
            let stopped = Arc::clone(&stopped);
            thread::spawn(move || {
                // An input that cannot be read has ended, too.
                let _end = io::copy(&mut io::stdin(), &mut io::sink());
                stopped.store(true, Ordering::Relaxed);
            });
        }
        Ok(Some(Self {
            length: Duration::from_secs(seconds),
            seed,
            stopped,
        }))
    }

    /// Whether the run is to end early.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

fn number(name: &str) -> Result<Option<u64>> {
    let Ok(text) = env::var(name) else {
        return Ok(None);
    };
    let number = text.parse();
    Ok(Some(
        number.with_context(|| format!("{name} is no number: {text}"))?,
    ))
}
