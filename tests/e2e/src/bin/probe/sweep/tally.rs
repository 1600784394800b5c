//! What came of a scenario under a setting, as the test that runs the sweep hears it.

use super::{Kind, point::Group};
use anyhow::Result;
use serde::Serialize;

/// What came of a group.
#[derive(Serialize)]
pub struct Tally {
    kind: &'static str,
    scenario: &'static str,
    setting: &'static str,
    /// Points that there are.
    points: usize,
    /// Points that were played.
    tried: usize,
    /// Points in which nothing went wrong after all: there was no such allocation or call.
    missed: usize,
    failed: usize,
}

impl Tally {
    /// Of nothing yet.
    pub const fn of(group: &Group, points: usize) -> Self {
        Self {
            kind: match group.kind {
                Kind::Allocation => "allocation",
                Kind::Security => "security",
                Kind::Caller => "caller",
            },
            scenario: group.scenario.name,
            setting: group.setting,
            points,
            tried: 0,
            missed: 0,
            failed: 0,
        }
    }

    /// One more.
    pub fn count(&mut self, done: &Result<bool>) {
        self.tried += 1;
        match done {
            Ok(true) => {}
            Ok(false) => self.missed += 1,
            Err(_) => self.failed += 1,
        }
    }
}
