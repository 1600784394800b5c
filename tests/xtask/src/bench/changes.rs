//! `tests/bench/changes.toml`: what was done for the driver's speed and size, with the figure before and after.

use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::layout::Layout;

const FILE: &str = "tests/bench/changes.toml";

/// One change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// What was changed.
    pub what: String,
    /// The first words of the commit.
    pub commit: String,
    /// What was measured, and how.
    pub figure: String,
    pub before: f64,
    pub after: f64,
    /// Empty for a ratio.
    pub unit: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    change: Vec<Change>,
}

/// All of them, the oldest first.
///
/// # Errors
///
/// The file is not what it should be.
pub fn read(layout: &Layout) -> Result<Vec<Change>> {
    let text = fs::read_to_string(layout.root().join(FILE)).context(FILE)?;
    let file: File = toml::from_str(&text).context(FILE)?;
    Ok(file.change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process;
    use std::process::Command;

    /// Sources without their history have no commits to look for.
    #[test]
    fn every_change_has_its_commit() {
        let layout = Layout::find().unwrap();
        let mut git = Command::new("git");
        git.args(["log", "--format=%s"]).current_dir(layout.root());
        let Ok(log) = process::output(&mut git) else {
            return;
        };
        for change in read(&layout).unwrap() {
            let is_there = log.lines().any(|line| line.starts_with(&change.commit));
            assert!(is_there && !change.commit.is_empty(), "{change:?}");
        }
    }
}
