//! What was tried and what came of it, by kind, scenario and setting.

use crate::plan::Plan;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tlsgate_e2e::report;
use tlsgate_lab_control::kmdf::Site;

/// Failures that are told in words.
const TOLD: usize = 200;

/// What came of a scenario under a setting.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Group {
    /// What went wrong in it.
    pub kind: String,
    /// The scenario.
    pub scenario: String,
    /// The setting of the stand-ins.
    pub setting: String,
    /// Points that there are.
    pub points: u64,
    /// Points that were played.
    pub tried: u64,
    /// Points in which nothing went wrong after all.
    pub missed: u64,
    /// Points after which something was not as it must be.
    pub failed: u64,
}

/// What came of all.
pub struct Tally {
    plan: String,
    groups: Vec<Group>,
    /// Groups there are, by kind.
    there_are: BTreeMap<String, usize>,
    failures: Vec<String>,
    sites: BTreeMap<String, Site>,
}

impl Tally {
    /// Of nothing yet.
    pub fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.to_string(),
            groups: Vec::new(),
            there_are: BTreeMap::new(),
            failures: Vec::new(),
            sites: BTreeMap::new(),
        }
    }

    /// A group has had its turn.
    pub fn group(&mut self, turn: Group) {
        if turn.tried > 0 {
            println!(
                "{:>10}  {:17} {:32} {:5} points, {} failed",
                turn.kind, turn.scenario, turn.setting, turn.tried, turn.failed
            );
        }
        let is_same = |group: &&mut Group| {
            group.kind == turn.kind
                && group.scenario == turn.scenario
                && group.setting == turn.setting
        };
        let Some(group) = self.groups.iter_mut().find(is_same) else {
            self.groups.push(turn);
            return;
        };
        group.points += turn.points;
        group.tried += turn.tried;
        group.missed += turn.missed;
        group.failed += turn.failed;
    }

    /// So many groups of a kind there are.
    pub fn there_are(&mut self, kind: &str, groups: usize) {
        self.there_are.insert(kind.to_owned(), groups);
    }

    /// A point has failed, for this reason.
    pub fn failure(&mut self, what: String) {
        println!("FAILED  {what}");
        self.failures.push(what);
    }

    /// Where memory was asked for.
    pub fn sites(&mut self, sites: BTreeMap<String, Site>) {
        for (name, site) in sites {
            let sum = self.sites.entry(name).or_default();
            sum.given += site.given;
            sum.refused += site.refused;
        }
    }

    /// Points.
    pub fn tried(&self) -> u64 {
        self.groups.iter().map(|group| group.tried).sum()
    }

    /// Points that have failed.
    pub fn failed(&self) -> usize {
        self.failures.len()
    }

    /// Some of what has failed.
    pub fn failures(&self) -> &[String] {
        let some = self.failures.len().min(10);
        &self.failures[..some]
    }

    /// Leaves it to the report.
    pub fn give(&self) -> Result<()> {
        report::give(&self.body())
    }

    fn body(&self) -> Value {
        let mut kinds: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        for group in &self.groups {
            let kind = kinds.entry(&group.kind).or_default();
            *kind.entry("groups").or_default() += 1;
            *kind.entry("points").or_default() += group.points;
            *kind.entry("tried").or_default() += group.tried;
            *kind.entry("missed").or_default() += group.missed;
            *kind.entry("failed").or_default() += group.failed;
        }
        let told = self.failures.len().min(TOLD);
        let sites = self.sites.iter().map(
            |(place, site)| json!({ "place": place, "given": site.given, "refused": site.refused }),
        );
        json!({
            "tried": self.tried(),
            "failed": self.failed(),
            "plan": self.plan,
            "kinds": kinds,
            "groups there are": self.there_are,
            "failures": self.failures[..told],
            "rows": self.groups,
            "allocation sites": sites.collect::<Vec<_>>(),
        })
    }
}
