//! `cargo xtask policy-mutants`: cargo-mutants changes `driver/core` and `driver/protocol` wherever it knows a
//! change, and their tests must fail. What survives is explained in `tests/mutants/survivors.toml`, or the
//! run fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{layout::Layout, process, report, step::Steps, test::host_cargo};

/// The version that the list of survivors is for: another one knows other changes.
const VERSION: &str = "27.1.0";

/// A package that is changed.
struct Package {
    name: &'static str,
    /// Where its sources are.
    folder: &'static str,
    /// Its tests that take seconds.
    quick: &'static [&'static str],
}

const CORE: Package = Package {
    name: "tlsgate-core",
    folder: "driver/core/src/",
    quick: &["--lib"],
};

const PROTOCOL: Package = Package {
    name: "tlsgate-protocol",
    folder: "driver/protocol/src/",
    quick: &["--test=decode", "--test=abi"],
};

/// What the models explore, with these tests: tried again with them where the quick ones saw nothing.
const MODELLED: [(&str, &str); 12] = [
    ("belongings", "loom_leg"),
    ("closing", "loom_rundown"),
    ("issuing", "loom_issuing"),
    ("life", "loom_life"),
    ("parties", "loom_leg"),
    ("queue", "loom_issuing"),
    ("rundown", "loom_rundown"),
    ("session", "loom_leg"),
    ("slot", "loom_slot"),
    ("ticket", "loom_leg"),
    ("usage", "loom_usage"),
    ("word", "loom_usage"),
];

/// How cargo-mutants ends when it has tried everything: nothing, something survived, something took too long.
const HAS_TRIED: [i32; 3] = [0, 2, 3];

/// What survives, and why that is no gap.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    survivor: Vec<Survivor>,
}

/// A change that no test can see.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Survivor {
    /// The file, from the root of the work tree.
    file: String,
    /// The line that is changed, without the spaces around it.
    line: String,
    /// The change, as cargo-mutants names it.
    mutation: String,
    /// Why it changes nothing that anyone could see.
    why: String,
}

/// A change that was tried: its file, its line and its name.
type Key = (String, String, String);

/// What became of the changes that were tried.
type Tried = BTreeMap<Key, Vec<String>>;

/// Tries every change of the files that are wanted, or of all, and writes
/// `target/reports/policy-mutants.json`.
///
/// # Errors
///
/// The unchanged sources fail; a survivor is not explained; or an explanation is of nothing that survives.
pub fn run(layout: &Layout, steps: &Steps, wanted: &[String]) -> Result<()> {
    let start = Instant::now();
    let list = List::read(layout.root())?;
    let tool = steps.step("cargo-mutants", |step| {
        let tools = layout.setup().join("tools");
        let mut cargo = host_cargo(layout.root(), "install");
        cargo.args(["--locked", "--version", VERSION, "--root"]);
        process::run(cargo.arg(&tools).arg("cargo-mutants"), step)?;
        Ok(tools.join("bin/cargo-mutants"))
    })?;
    let output = layout.root().join("target/policy-mutants");
    _ = fs::remove_dir_all(&output);
    let mutants = Mutants {
        layout,
        tool,
        output,
    };
    let mut tried = Tried::new();
    for package in [&CORE, &PROTOCOL] {
        let is_in = |file: &&str| file.starts_with(package.folder);
        let files: Vec<&str> = wanted.iter().map(String::as_str).filter(is_in).collect();
        if wanted.is_empty() || !files.is_empty() {
            let name = format!("{}, with its quick tests", package.name);
            steps.loud(&name, || {
                mutants.run(package, &files, package.quick, false, &mut tried)
            })?;
        }
    }
    for (name, test) in MODELLED {
        let file = format!("{}{name}.rs", CORE.folder);
        let is_left = |((changed, ..), ends): (&Key, &Vec<String>)| {
            *changed == file && ends.iter().any(|end| !is_seen(end))
        };
        if tried.iter().any(is_left) {
            let tests = [&*format!("--test={test}")];
            steps.loud(&format!("what is left of {name}.rs, with {test}"), || {
                mutants.run(&CORE, &[&file], &tests, true, &mut tried)
            })?;
        }
    }
    let command = [&["cargo xtask policy-mutants".to_owned()], wanted].concat();
    let (mut body, faults) = judge(&list, &tried, wanted);
    body["seconds"] = json!(start.elapsed().as_secs());
    report::write(layout, "policy-mutants", &command.join(" "), &body)?;
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// cargo-mutants, and where it leaves what it found.
struct Mutants<'a> {
    layout: &'a Layout,
    tool: PathBuf,
    output: PathBuf,
}

impl Mutants<'_> {
    /// Tries the changes of some of a package's files, or of all; only those that nothing has seen before
    /// if `again`.
    fn run(
        &self,
        package: &Package,
        files: &[&str],
        tests: &[&str],
        again: bool,
        tried: &mut Tried,
    ) -> Result<()> {
        let output = self.output.join(package.name);
        let mut command = Command::new(&self.tool);
        command
            .current_dir(self.layout.root())
            .args(["mutants", "-p", package.name, "--output"])
            .arg(&output)
            // A hang is seen by its time; many times what the slowest test, or model, takes.
            .arg(if again {
                "--timeout=300"
            } else {
                "--timeout=20"
            })
            .args(["--build-timeout=900", "--no-shuffle"])
            .args(["--colors=never", "--cargo-arg=--locked"])
            .args(tests.iter().map(|test| format!("--cargo-arg={test}")))
            .args(files.iter().flat_map(|file| ["--file", file]))
            // No bytes of a failed test are to be left in the sources.
            .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            // Without it the tests take ten times as long, and the build no less.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_RELEASE_LTO", "off");
        if again {
            command.args(["--iterate", "--profile=release"]);
        }
        fs::create_dir_all(&output)?;
        let status = command.status().context("cargo-mutants cannot be run")?;
        match status.code() {
            Some(code) if HAS_TRIED.contains(&code) => {}
            _ => bail!("cargo-mutants: {status}"),
        }
        let file = output.join("mutants.out/outcomes.json");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        merge(
            tried,
            outcomes(self.layout.root(), &serde_json::from_str(&text)?)?,
        );
        Ok(())
    }
}

/// A later run tries again what an earlier one has not seen; what it has seen stays.
fn merge(tried: &mut Tried, found: Tried) {
    for (key, ends) in found {
        let before = tried.entry(key).or_default();
        before.retain(|end| is_seen(end));
        before.extend(ends);
    }
}

/// What cargo-mutants says of every change that it has tried.
fn outcomes(root: &Path, report: &Value) -> Result<Tried> {
    let mut tried = Tried::new();
    for outcome in report["outcomes"].as_array().context("no outcomes")? {
        let mutant = &outcome["scenario"]["Mutant"];
        let Some(file) = mutant["file"].as_str() else {
            continue;
        };
        let name = mutant["name"].as_str().context("no name")?;
        // The name begins with the place, which moves.
        let mutation = name.splitn(4, ':').last().unwrap_or(name).trim();
        let line = mutant["span"]["start"]["line"]
            .as_u64()
            .context("no line")?;
        let text = fs::read_to_string(root.join(file)).with_context(|| file.to_owned())?;
        let line = text.lines().nth(usize::try_from(line)? - 1).unwrap_or("");
        let key = (file.to_owned(), line.trim().to_owned(), mutation.to_owned());
        let end = outcome["summary"].as_str().context("no summary")?;
        tried.entry(key).or_default().push(end.to_owned());
    }
    Ok(tried)
}

/// Whether a test has seen the change, or the compiler refuses it.
fn is_seen(end: &str) -> bool {
    ["CaughtMutant", "Unviable", "Timeout"].contains(&end)
}

/// The report, and what is wrong with the run or the list.
fn judge(list: &List, tried: &Tried, wanted: &[String]) -> (Value, Vec<String>) {
    let count = |wanted: &str| {
        let ends = tried.values().flatten();
        ends.filter(|end| *end == wanted).count()
    };
    let survived = |ends: &[String]| ends.iter().filter(|end| !is_seen(end)).count();
    let explained: BTreeMap<Key, &str> = list
        .survivor
        .iter()
        .map(|it| (it.key(), it.why.as_str()))
        .collect();
    let (mut rows, mut faults, mut unexplained) = (Vec::new(), Vec::new(), 0);
    for (key, ends) in tried {
        let (file, line, mutation) = key;
        let why = explained.get(key);
        match (survived(ends), why) {
            (0, Some(_)) => faults.push(format!("{file}: {line}: {mutation}: no longer survives")),
            (0, None) => {}
            (times, why) => {
                if why.is_none() {
                    unexplained += times;
                    faults.push(format!("{file}: {line}: {mutation}: survives"));
                }
                rows.push(json!({
                    "file": file, "line": line, "mutation": mutation, "times": times, "why": why,
                }));
            }
        }
    }
    for it in &list.survivor {
        let is_wanted = wanted.is_empty() || wanted.contains(&it.file);
        if is_wanted && !tried.contains_key(&it.key()) {
            faults.push(format!(
                "{}: {}: {}: is no change",
                it.file, it.line, it.mutation
            ));
        }
    }
    let all: usize = tried.values().map(Vec::len).sum();
    let left: usize = tried.values().map(|ends| survived(ends)).sum();
    let body = json!({
        "tool": format!("cargo-mutants {VERSION}"),
        "tried": all,
        "failed": faults.len(),
        "caught": count("CaughtMutant"),
        "timed_out": count("Timeout"),
        "unviable": count("Unviable"),
        "survived": left,
        "explained": left - unexplained,
        "rows": rows,
        "faults": faults,
    });
    (body, faults)
}

impl List {
    fn read(root: &Path) -> Result<Self> {
        let file = root.join("tests/mutants/survivors.toml");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let list: Self = toml::from_str(&text).with_context(|| file.display().to_string())?;
        list.check(root)?;
        Ok(list)
    }

    /// Each survivor is of a line that exists, is listed once, and is explained.
    fn check(&self, root: &Path) -> Result<()> {
        let mut keys = BTreeSet::new();
        for it in &self.survivor {
            let is_policy = [CORE, PROTOCOL]
                .iter()
                .any(|package| it.file.starts_with(package.folder));
            ensure!(is_policy, "{} is not what is changed", it.file);
            let text = fs::read_to_string(root.join(&it.file)).with_context(|| it.file.clone())?;
            let has_line = text.lines().any(|line| line.trim() == it.line);
            ensure!(has_line, "{} has no line {}", it.file, it.line);
            ensure!(it.why.len() > 10, "{}: {}: why?", it.file, it.line);
            ensure!(keys.insert(it.key()), "{}: {}: twice", it.file, it.line);
        }
        Ok(())
    }
}

impl Survivor {
    fn key(&self) -> Key {
        (self.file.clone(), self.line.clone(), self.mutation.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_survivor_is_of_a_line_that_exists_and_is_explained() {
        List::read(Layout::find().unwrap().root()).unwrap();
    }

    #[test]
    fn every_model_is_there() {
        let core = Layout::find().unwrap().root().join("driver/core");
        for (file, test) in MODELLED {
            assert!(core.join(format!("src/{file}.rs")).is_file(), "{file}");
            assert!(core.join(format!("tests/{test}.rs")).is_file(), "{test}");
        }
    }

    /// What cargo-mutants leaves of two changes in two lines of a file.
    fn found(root: &Path, ends: [&str; 2]) -> Tried {
        fs::create_dir_all(root.join(CORE.folder)).unwrap();
        let file = format!("{}a.rs", CORE.folder);
        fs::write(root.join(&file), "    a < b\n    c && d\n").unwrap();
        let outcome = |line: u64, mutation: &str, end: &str| {
            json!({
                "scenario": { "Mutant": {
                    "file": file,
                    "name": format!("{file}:{line}:7: {mutation}"),
                    "span": { "start": { "line": line } },
                } },
                "summary": end,
            })
        };
        let report = json!({ "outcomes": [
            { "scenario": "Baseline", "summary": "Success" },
            outcome(1, "replace < with <= in A::b", ends[0]),
            outcome(2, "replace && with || in A::b", ends[1]),
        ] });
        outcomes(root, &report).unwrap()
    }

    fn list(survivors: &[(&str, &str)]) -> List {
        let survivor = |(line, mutation): &(&str, &str)| Survivor {
            file: format!("{}a.rs", CORE.folder),
            line: (*line).to_owned(),
            mutation: (*mutation).to_owned(),
            why: "both say the same".to_owned(),
        };
        List {
            survivor: survivors.iter().map(survivor).collect(),
        }
    }

    #[test]
    fn a_survivor_fails_the_run_unless_it_is_explained_and_so_does_an_explanation_of_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let tried = found(folder.path(), ["MissedMutant", "CaughtMutant"]);
        let (body, faults) = judge(&list(&[]), &tried, &[]);
        assert_eq!((&body["tried"], &body["survived"]), (&json!(2), &json!(1)));
        assert_eq!(faults.len(), 1, "{faults:?}");
        let explained = list(&[("a < b", "replace < with <= in A::b")]);
        explained.check(folder.path()).unwrap();
        let (body, faults) = judge(&explained, &tried, &[]);
        assert_eq!((&body["explained"], faults.len()), (&json!(1), 0));
        for stale in [
            ("c && d", "replace && with || in A::b"),
            ("c && d", "replace && with == in A::b"),
        ] {
            let both = list(&[("a < b", "replace < with <= in A::b"), stale]);
            assert_eq!(judge(&both, &tried, &[]).1.len(), 1, "{stale:?}");
        }
        let elsewhere = list(&[("e", "replace e with f")]);
        assert!(elsewhere.check(folder.path()).is_err());
    }

    #[test]
    fn what_a_model_sees_has_not_survived() {
        let folder = tempfile::tempdir().unwrap();
        let mut tried = found(folder.path(), ["MissedMutant", "Timeout"]);
        let mut again = found(folder.path(), ["CaughtMutant", "CaughtMutant"]);
        again.retain(|(_, line, _), _| line == "a < b");
        merge(&mut tried, again);
        assert!(judge(&list(&[]), &tried, &[]).1.is_empty(), "{tried:?}");
    }
}
