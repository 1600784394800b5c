//! What suites find of two servers, and the table that explains every difference:
//! `tests/e2e/suites/differences.toml`.

use anyhow::Result;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What suites found of a server, by case.
pub type Findings = BTreeMap<String, String>;

/// The finding of a suite that says nothing of a case.
const NOTHING: &str = "nothing";

/// The table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    reason: Vec<Reason>,
}

/// Why there are differences.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    why: String,
    difference: Vec<Difference>,
}

/// Cases that differ in the same way.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    with: String,
    without: String,
    cases: Vec<String>,
}

impl Table {
    /// The checked-in one.
    pub fn read() -> Result<Self> {
        Ok(toml::from_str(include_str!(
            "../../suites/differences.toml"
        ))?)
    }

    /// Everything that is wrong with it, or with the servers: a difference that it does not have, and one
    /// that it has and that is not there. In a short run cases may be missing.
    pub fn faults(&self, with: &Findings, without: &Findings, whole: bool) -> Vec<String> {
        let mut explained = BTreeMap::new();
        let mut faults = Vec::new();
        for reason in &self.reason {
            if reason.why.trim().is_empty() {
                faults.push("the table has differences without a reason".to_owned());
            }
            for difference in &reason.difference {
                for case in &difference.cases {
                    if explained.insert(case.as_str(), difference).is_some() {
                        faults.push(format!("{case}: twice in the table"));
                    }
                }
            }
        }
        let cases: BTreeSet<&str> = with.keys().chain(without.keys()).map(|it| &**it).collect();
        for case in &cases {
            let (with, without) = (of(with, case), of(without, case));
            let found = format!("with the driver {with:?}, without it {without:?}");
            match explained.remove(case) {
                None if with == without => {}
                None => faults.push(format!("{case}: {found}; the table has no reason")),
                Some(known) if (&*known.with, &*known.without) == (with, without) => {}
                Some(known) => faults.push(format!(
                    "{case}: {found}; the table has {:?} and {:?}",
                    known.with, known.without
                )),
            }
        }
        if whole {
            let untried = explained.keys();
            faults.extend(untried.map(|case| format!("{case}: in the table, but not tried")));
        }
        faults
    }
}

/// How many cases differ.
pub fn count(with: &Findings, without: &Findings) -> usize {
    let cases: BTreeSet<&String> = with.keys().chain(without.keys()).collect();
    let differs = |case: &&&String| of(with, case) != of(without, case);
    cases.iter().filter(differs).count()
}

fn of<'a>(findings: &'a Findings, case: &str) -> &'a str {
    findings.get(case).map_or(NOTHING, String::as_str)
}

#[test]
fn what_the_table_of_differences_does_not_say_is_a_fault() {
    let table: Table = toml::from_str(
        r#"
        [[reason]]
        why = "because"
        [[reason.difference]]
        with = "a"
        without = "b"
        cases = ["known"]
        "#,
    )
    .unwrap();
    let findings = |found: &[(&str, &str)]| -> Findings {
        let found = found.iter();
        found
            .map(|(case, it)| ((*case).to_owned(), (*it).to_owned()))
            .collect()
    };
    let faults = |with: &[_], without: &[_], whole| {
        let faults = table.faults(&findings(with), &findings(without), whole);
        faults.len()
    };
    let known = (("known", "a"), ("known", "b"));
    assert_eq!(faults(&[known.0], &[known.1], true), 0);
    // One that is not in the table, and one that is not as the table has it.
    let more = |it| [known.0, ("new", it)];
    assert_eq!(faults(&more("a"), &[known.1, ("new", "b")], true), 1);
    assert_eq!(faults(&more("a"), &[known.1], true), 1);
    assert_eq!(faults(&more("a"), &[known.1, ("new", "a")], true), 0);
    assert_eq!(faults(&[("known", "c")], &[known.1], true), 1);
    assert_eq!(faults(&[known.0], &[("known", "a")], true), 1);
    // One that was not tried.
    assert_eq!(faults(&[], &[], true), 1);
    assert_eq!(faults(&[], &[], false), 0);
}
