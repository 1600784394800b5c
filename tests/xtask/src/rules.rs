//! `cargo xtask rules`: each of the lab's rules, `tests/lab/rules.csv`, is broken on purpose and caught by its name.
//! The result is `target/reports/rules.json`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    build::{self, Tools},
    layout::Layout,
    process, report,
    step::Steps,
    test::host_cargo,
};

/// The packages whose own tests break rules.
const STAND_INS: [&str; 2] = ["tlsgate-lab-kmdf", "tlsgate-lab-ksecdd"];

/// The end-to-end tests that break the others, and measure the driver's stack.
const END_TO_END: [&str; 2] = [
    "every_broken_rule_is_caught",
    "every_entry_into_the_driver_keeps_within_its_stack",
];

/// One line of the table.
#[derive(Debug, Deserialize)]
struct Rule {
    #[serde(rename = "rule")]
    name: String,
    module: String,
    what: String,
    source: String,
    /// Names of faults and tests, with spaces between them.
    bites: String,
}

impl Rule {
    fn bites(&self) -> impl Iterator<Item = &str> {
        self.bites.split_whitespace()
    }
}

/// What the wrong driver's run has left.
#[derive(Deserialize)]
struct Committed {
    seconds: u64,
    /// By its name what was said of each: "caught", or why not.
    faults: BTreeMap<String, String>,
}

/// A bite, and whether it was caught by its rule.
#[derive(Serialize)]
struct Bite<'a> {
    name: &'a str,
    caught: bool,
}

fn read(layout: &Layout) -> Result<Vec<Rule>> {
    let path = layout.root().join("tests/lab/rules.csv");
    let rules = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .from_path(&path)
        .and_then(|mut reader| reader.deserialize().collect());
    rules.with_context(|| format!("reading {}", path.display()))
}

/// Names of faults begin with a capital.
fn is_fault(bite: &str) -> bool {
    bite.starts_with(|first: char| first.is_ascii_uppercase())
}

/// Builds the lab, breaks every rule, and writes the report.
///
/// # Errors
///
/// Something cannot be built, or a rule was not caught.
pub fn run(layout: &Layout, tools: &Tools, steps: &Steps) -> Result<()> {
    build::all(layout, tools, steps)?;
    let tests = steps.step("tests of the stand-ins", |_| tests_that_pass(layout))?;
    let ended = steps.loud("the wrong driver", || {
        let mut cargo = host_cargo(layout.root(), "test");
        cargo.args(["--locked", "-p", "tlsgate-e2e", "--test", "ioctl", "--"]);
        process::run_loud(cargo.args(END_TO_END))
    });
    report(layout, "cargo xtask rules", |test| tests.contains(test))?;
    ended
}

/// Writes the report of what the end-to-end tests have left: `passed` says of a test of the stand-ins whether it
/// has passed.
///
/// # Errors
///
/// The wrong driver has not run, or a rule was not caught.
pub fn report(layout: &Layout, command: &str, passed: impl Fn(&str) -> bool) -> Result<()> {
    let Committed { seconds, faults } = serde_json::from_str(&left(layout, "rules")?)?;
    let stack: BTreeMap<String, usize> = serde_json::from_str(&left(layout, "stack")?)?;
    let rules = read(layout)?;
    let mut rows = Vec::new();
    let mut missed = Vec::new();
    for rule in &rules {
        let bites = rule.bites().map(|name| Bite {
            name,
            caught: if is_fault(name) {
                faults.get(name).is_some_and(|said| said == "caught")
            } else {
                passed(name)
            },
        });
        let bites: Vec<Bite> = bites.collect();
        let caught = !bites.is_empty() && bites.iter().all(|bite| bite.caught);
        if !caught {
            missed.push(rule.name.as_str());
        }
        rows.push(json!({
            "rule": rule.name,
            "module": rule.module,
            "what": rule.what,
            "source": rule.source,
            "bites": bites,
            "caught": caught,
        }));
    }
    let body = json!({
        "tried": rules.len(),
        "failed": missed.len(),
        "seconds": seconds,
        "faults": faults.len(),
        "stack": stack,
        "rows": rows,
    });
    report::write(layout, "rules", command, &body)?;
    ensure!(missed.is_empty(), "not caught: {}", missed.join(", "));
    Ok(())
}

/// What an end-to-end test has left beside the machine's disk.
fn left(layout: &Layout, name: &str) -> Result<String> {
    let file = layout.root().join(format!("target/lab/{name}.json"));
    fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
}

/// Runs the stand-ins' own tests, all of them even if one fails; gives the names of those that pass.
fn tests_that_pass(layout: &Layout) -> Result<BTreeSet<String>> {
    let mut cargo = host_cargo(layout.root(), "test");
    cargo.args(["--locked", "--no-fail-fast"]);
    cargo.args(STAND_INS.iter().flat_map(|package| ["-p", package]));
    let output = Command::output(&mut cargo).context("cargo test")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        said.contains("test result: "),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let passed = said.lines().filter_map(|line| {
        let path = line.strip_prefix("test ")?.strip_suffix(" ... ok")?;
        path.rsplit("::").next().map(str::to_owned)
    });
    Ok(passed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{imports::Irql, readme};
    use std::path::Path;
    use tlsgate_lab_control::kmdf::faults::Fault;

    fn table() -> Vec<Rule> {
        read(&Layout::find().unwrap()).unwrap()
    }

    /// The sources of a stand-in, without its tests.
    fn sources(module: &str) -> Vec<(String, String)> {
        let folder = Layout::find()
            .unwrap()
            .root()
            .join("tests/lab")
            .join(module);
        let mut files = Vec::new();
        readme::sources(&folder.join("src"), &mut files);
        files
            .into_iter()
            .map(|file| {
                let text = fs::read_to_string(&file).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                (file.to_str().unwrap().to_owned(), text.to_owned())
            })
            .collect()
    }

    /// The texts in quotes that follow a word.
    fn quoted_after<'a>(text: &'a str, word: &str) -> impl Iterator<Item = &'a str> {
        text.split(word)
            .skip(1)
            .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
    }

    /// The rules that the sources name, by module.
    fn in_sources() -> BTreeSet<(String, String)> {
        let mut rules = BTreeSet::new();
        for (file, text) in sources("kmdf") {
            let mut words = vec!["stop!(", "stop_at("];
            if file.ends_with("life.rs") {
                words.push("Err(");
            }
            for rule in words.iter().flat_map(|word| quoted_after(&text, word)) {
                rules.insert(("kmdf".to_owned(), rule.to_owned()));
            }
        }
        for rule in constants().into_values() {
            rules.insert(("ksecdd".to_owned(), rule));
        }
        rules
    }

    /// The constants of ksecdd's rules.
    fn constants() -> BTreeMap<String, String> {
        let rules = Layout::find()
            .unwrap()
            .root()
            .join("tests/lab/ksecdd/src/rules.rs");
        fs::read_to_string(rules)
            .unwrap()
            .lines()
            .filter_map(|line| {
                let (name, rest) = line.strip_prefix("pub const ")?.split_once(": &str = \"")?;
                Some((name.to_owned(), rest.split('"').next()?.to_owned()))
            })
            .collect()
    }

    #[test]
    fn the_table_has_each_rule_of_the_sources_once() {
        let mut listed = BTreeSet::new();
        for rule in table() {
            assert!(!rule.what.is_empty() && !rule.source.is_empty(), "{rule:?}");
            assert!(
                listed.insert((rule.module, rule.name.clone())),
                "{} twice",
                rule.name
            );
        }
        let named = in_sources();
        let gone: Vec<_> = listed.difference(&named).collect();
        let new: Vec<_> = named.difference(&listed).collect();
        assert!(gone.is_empty(), "in the table alone: {gone:?}");
        assert!(new.is_empty(), "in the sources alone: {new:?}");
        assert!(named.len() > 100, "{} rules", named.len());
    }

    #[test]
    fn each_rule_has_bites_that_name_it_and_each_fault_is_one() {
        let constants = constants();
        let mut tests = String::new();
        for module in ["kmdf", "ksecdd"] {
            let mut files = Vec::new();
            let folder = Layout::find()
                .unwrap()
                .root()
                .join("tests/lab")
                .join(module);
            readme::sources(&folder.join("src"), &mut files);
            for file in files {
                tests += &fs::read_to_string(file).unwrap();
            }
        }
        let mut used = BTreeSet::new();
        for rule in table() {
            assert!(
                rule.bites().next().is_some(),
                "nothing bites for {}",
                rule.name
            );
            for bite in rule.bites() {
                if is_fault(bite) {
                    let fault = Fault::ALL.iter().find(|fault| format!("{fault:?}") == bite);
                    let fault = fault.unwrap_or_else(|| panic!("no fault {bite}"));
                    assert_eq!(fault.rule(), rule.name, "{bite}");
                    used.insert(bite.to_owned());
                    continue;
                }
                let mark = format!("#[test]\nfn {bite}() {{");
                let indented = format!("#[test]\n    fn {bite}() {{");
                let body = tests
                    .split_once(&mark)
                    .or_else(|| tests.split_once(&indented));
                let body = body.unwrap_or_else(|| panic!("no test {bite}")).1;
                let body = body.split("#[test]").next().unwrap();
                let names = body.contains(&format!("\"{}\"", rule.name))
                    || constants.iter().any(|(name, value)| {
                        *value == rule.name && body.contains(&format!("rules::{name}"))
                    });
                assert!(names, "{bite} does not name {}", rule.name);
            }
        }
        for fault in Fault::ALL.iter().filter(|fault| !fault.rule().is_empty()) {
            assert!(
                used.contains(&format!("{fault:?}")),
                "{fault:?} is not in the table"
            );
        }
    }

    /// The IRQL that the lab's kernel imposes on each function.
    fn imposed(file: &Path) -> BTreeMap<String, Irql> {
        let text = fs::read_to_string(file).unwrap();
        let (harmless, functions) = text.split_once("pub fn replacement").unwrap();
        let harmless = harmless
            .lines()
            .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","))
            .map(|name| (name.to_owned(), Irql::Any));
        let replaced = functions.lines().filter_map(|line| {
            let (name, rest) = line.trim().split_once(" <= ")?;
            let level = match rest.split_whitespace().next()? {
                "PASSIVE" => Irql::Passive,
                "APC" => Irql::Apc,
                "DISPATCH" => Irql::Dispatch,
                "ANY" => Irql::Any,
                other => panic!("what is {other}?"),
            };
            Some((name.to_owned(), level))
        });
        harmless.chain(replaced).collect()
    }

    #[test]
    fn the_lab_imposes_the_irql_of_each_import() {
        let layout = Layout::find().unwrap();
        let imports = crate::imports::Imports::read(&layout.wdk().join("imports.csv")).unwrap();
        let imposed = imposed(&layout.root().join("tests/lab/kmdf/src/kernel.rs"));
        let mut count = 0;
        for (name, irql) in imports.functions("ntoskrnl") {
            // What ends the machine is not there to be called.
            if name == "KeBugCheckEx" {
                continue;
            }
            assert_eq!(imposed.get(name), Some(&irql), "{name}");
            count += 1;
        }
        assert!(count > 30, "{count} functions");
    }
}
