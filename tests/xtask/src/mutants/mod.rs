//! `cargo xtask test --mutants`: removes one guard of the driver after the other, in a copy of the
//! sources, and sees the test fail that is said to prove it.

mod copy;
mod list;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use self::{
    copy::{Ran, Scratch},
    list::{List, Mutant, Part, Test},
};
use crate::{
    build::{self, Tools},
    layout::Layout,
    report,
    step::{Step, Steps},
};

/// What became of a mutant.
enum Outcome {
    /// Its test failed, and said why.
    Caught(String),
    /// Its test passed all the same: it proves nothing of the guard.
    Survived,
    /// It could not be tried.
    Broken(anyhow::Error),
}

/// The bytes of each part without a change.
type Clean = BTreeMap<Part, Vec<u8>>;

/// Tries the mutants that are wanted, or all of them, and writes `target/reports/mutants.json`.
///
/// # Errors
///
/// The unchanged copy does not pass one of the tests; or a mutant survives, or cannot be tried.
pub fn run(layout: &Layout, tools: &Tools, steps: &Steps, wanted: &[String]) -> Result<()> {
    let list = List::read(layout.root())?;
    let chosen = list.choose(wanted)?;
    for (_, mutant) in &chosen {
        mutant.apply(&fs::read_to_string(layout.root().join(&mutant.file))?)?;
    }
    build::all(layout, tools, steps)?;
    let copy = steps.step("copy the sources", |_| Scratch::make(layout, tools))?;
    let clean = unchanged(&copy, steps, &chosen)?;
    let mut rows = Vec::new();
    for (number, mutant) in &chosen {
        let start = Instant::now();
        let name = format!("mutant {number}: {}", mutant.why);
        let outcome = steps.step(&name, |step| {
            let outcome = tried(&copy, mutant, &clean, step)?;
            step.note(&outcome.shown(mutant));
            Ok(outcome)
        })?;
        rows.push(outcome.row(*number, mutant, start.elapsed().as_secs()));
    }
    write_report(layout, wanted, &list, &rows)?;
    let failed = failed(&rows);
    ensure!(
        failed == 0,
        "{failed} of {} mutants were not caught",
        rows.len()
    );
    Ok(())
}

/// Builds every part that will be changed, and sees every test pass as long as nothing has been.
fn unchanged(copy: &Scratch, steps: &Steps, chosen: &[(usize, &Mutant)]) -> Result<Clean> {
    let mut clean = Clean::new();
    let mut tests = BTreeMap::new();
    for (_, mutant) in chosen {
        let part = mutant.part()?;
        if let Entry::Vacant(place) = clean.entry(part) {
            let name = format!("build without a change: {part:?}");
            place.insert(steps.step(&name, |step| copy.build(part, step))?);
        }
        tests.insert(mutant.test()?, mutant.test.as_str());
    }
    for (test, name) in tests {
        steps.step(&format!("without a change: {name}"), |step| {
            copy.prepare(&test, step)?;
            match copy.run(&test)? {
                Ran::Passed => Ok(()),
                Ran::Failed(said) => bail!("it fails: {said}"),
            }
        })?;
    }
    Ok(clean)
}

fn tried(copy: &Scratch, mutant: &Mutant, clean: &Clean, step: &Step) -> Result<Outcome> {
    let (part, test) = (mutant.part()?, mutant.test()?);
    copy.change(mutant)?;
    let outcome = with_change(copy, part, &test, clean, step);
    copy.restore(mutant)?;
    if let Some(data) = clean.get(&part) {
        copy.put(part, data)?;
    }
    Ok(outcome.unwrap_or_else(Outcome::Broken))
}

fn with_change(
    copy: &Scratch,
    part: Part,
    test: &Test,
    clean: &Clean,
    step: &Step,
) -> Result<Outcome> {
    let built = copy.build(part, step).context("it cannot be built")?;
    if part == Part::Test {
        copy.prepare(test, step).context("it cannot be built")?;
    } else if clean.get(&part) == Some(&built) {
        bail!("what is built is the same as without the change");
    }
    Ok(match copy.run(test)? {
        Ran::Passed => Outcome::Survived,
        Ran::Failed(said) => Outcome::Caught(said),
    })
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Caught(_) => "caught",
            Self::Survived => "survived",
            Self::Broken(_) => "not tried",
        }
    }

    fn said(&self) -> String {
        match self {
            Self::Caught(said) => said.clone(),
            Self::Survived => String::new(),
            Self::Broken(error) => format!("{error:#}"),
        }
    }

    fn shown(&self, mutant: &Mutant) -> String {
        format!("{} by {}: {}", self.word(), mutant.test, self.said())
    }

    fn row(&self, number: usize, mutant: &Mutant, seconds: u64) -> Value {
        json!({
            "number": number,
            "row": mutant.row,
            "why": mutant.why,
            "file": mutant.file,
            "test": mutant.test,
            "outcome": self.word(),
            "said": self.said(),
            "seconds": seconds,
        })
    }
}

fn write_report(layout: &Layout, wanted: &[String], list: &List, rows: &[Value]) -> Result<()> {
    let mut words = vec!["cargo xtask test --mutants".to_owned()];
    words.extend(wanted.iter().map(|name| format!("{name:?}")));
    let without = list.without.iter();
    let body = json!({
        "listed": list.mutant.len(),
        "tried": rows.len(),
        "failed": failed(rows),
        "rows": rows,
        "without": without
            .map(|it| json!({ "row": it.row, "why": it.why }))
            .collect::<Vec<_>>(),
    });
    report::write(layout, "mutants", &words.join(" "), &body)
}

fn failed(rows: &[Value]) -> usize {
    rows.iter().filter(|row| row["outcome"] != "caught").count()
}
