//! How much is to go wrong in this run, and which.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::{
    env, fmt,
    time::{Duration, SystemTime},
};

/// Names the plan to the test, as JSON.
const VARIABLE: &str = "TLSGATE_FAULTS";

/// How long a sample takes, beside the machine's boot.
const SAMPLE: Duration = Duration::from_secs(40);

/// A plan.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// Every point.
    pub full: bool,
    /// Of everything that is drawn.
    pub seed: u64,
    /// No more than so many minutes.
    pub minutes: Option<u64>,
    /// Which part of everything, counted from 1, and of how many.
    pub part: Part,
    /// Only points with all of these words in their names.
    pub words: Vec<String>,
}

/// A part of several.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Part(usize, usize);

impl Default for Part {
    fn default() -> Self {
        Self(1, 1)
    }
}

impl Part {
    /// Every so many of them, beginning with another one in each part.
    pub fn of<T>(self, all: Vec<T>) -> Vec<T> {
        let Self(number, of) = self;
        all.into_iter().skip(number - 1).step_by(of).collect()
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, of) = self;
        write!(f, "{number}/{of}")
    }
}

impl Plan {
    /// What `cargo xtask faults` wants, or a sample with the day's seed.
    pub fn wanted() -> Result<Self> {
        match env::var(VARIABLE) {
            Ok(json) => serde_json::from_str(&json).context(VARIABLE),
            Err(_) => Ok(Self {
                seed: today()?,
                ..Self::default()
            }),
        }
    }

    /// Whether only some points are wanted, by name.
    pub fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    /// So much of the time that there is.
    pub fn share(&self, percent: u32) -> Duration {
        let all = match (self.minutes, self.full) {
            (Some(minutes), _) => Duration::from_mins(minutes),
            (None, true) => return Duration::MAX,
            (None, false) => SAMPLE,
        };
        all * percent / 100
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--seed {}", self.seed)?;
        if self.full {
            f.write_str(" --full")?;
        }
        if let Some(minutes) = self.minutes {
            write!(f, " --minutes {minutes}")?;
        }
        if self.part.1 > 1 {
            write!(f, " --part {}", self.part)?;
        }
        self.words.iter().try_for_each(|word| write!(f, " {word}"))
    }
}

/// The number of the day: the sample rotates.
fn today() -> Result<u64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(since.as_secs() / (24 * 60 * 60))
}
