//! `cargo xtask fuzz`: the properties of `tests/fuzz` under libFuzzer, and the whole driver in the lab under
//! random requests, for as long as is asked; the result is `target/reports/fuzz.json`.
//!
//! libFuzzer wants the nightly toolchain and cargo-fuzz. Without the first, the same properties get random
//! inputs that no coverage guides, and the report says so.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    build::{self, Tools},
    layout::Layout,
    process, report,
    step::{Step, Steps},
    test::host_cargo,
};

/// The driver in the lab, among the targets.
const LAB: &str = "lab";

/// Longest input.
const LONGEST: usize = 2048;

/// What the command line says.
pub struct Options<'a> {
    /// For each target.
    pub seconds: u64,
    /// Where everything that is drawn comes from.
    pub seed: u64,
    /// All if there is none.
    pub targets: &'a [String],
}

/// Runs the targets, all of them even if one finds something.
pub fn run(layout: &Layout, steps: &Steps, options: &Options<'_>) -> Result<()> {
    let known = targets(layout)?;
    for name in options.targets {
        ensure!(
            known.contains(name) || name == LAB,
            "no target {name}: there are {LAB}, {}",
            known.join(", ")
        );
    }
    let is_wanted =
        |name: &str| options.targets.is_empty() || options.targets.iter().any(|it| it == name);
    let wanted: Vec<&str> = known
        .iter()
        .map(String::as_str)
        .filter(|it| is_wanted(it))
        .collect();
    let start = Instant::now();
    let mut rows = BTreeMap::new();
    match Fuzzer::find(layout, steps)? {
        Some(fuzzer) if !wanted.is_empty() => {
            steps.step("build the targets", |step| {
                process::run(&mut fuzzer.build(layout), step)
            })?;
            for name in &wanted {
                let row = steps.step(&format!("libFuzzer: {name}"), |step| {
                    fuzzer.run(layout, name, options, step)
                })?;
                rows.insert((*name).to_owned(), row);
            }
        }
        None if !wanted.is_empty() => {
            println!("           no nightly toolchain: random inputs, which no coverage guides");
            println!(
                "           (`rustup toolchain install nightly`, and a C++ compiler, give libFuzzer)"
            );
            rows.extend(any_toolchain(layout, steps, options, &wanted)?);
        }
        _ => {}
    }
    if is_wanted(LAB) {
        let tools = Tools::ready(layout, steps)?;
        build::all(layout, &tools, steps)?;
        rows.insert(LAB.to_owned(), lab(layout, steps, options)?);
    }
    let sum = |key| {
        rows.values()
            .filter_map(|row| row[key].as_u64())
            .sum::<u64>()
    };
    let (tried, failed) = (sum("executions"), sum("failed"));
    let body = json!({
        "tried": tried,
        "failed": failed,
        "seconds": start.elapsed().as_secs(),
        "seed": options.seed,
        "targets": rows,
    });
    report::write(layout, "fuzz", &command(options), &body)?;
    println!("           {tried} inputs and requests, {failed} findings: target/reports/fuzz.json");
    ensure!(
        failed == 0,
        "{failed} findings: see target/reports/fuzz.json"
    );
    Ok(())
}

fn command(options: &Options<'_>) -> String {
    let mut words = vec![format!(
        "cargo xtask fuzz --seconds {} --seed {}",
        options.seconds, options.seed
    )];
    words.extend(options.targets.iter().cloned());
    words.join(" ")
}

/// The folders of the checked-in corpus; a test of `tests/fuzz` holds them against its targets.
fn targets(layout: &Layout) -> Result<Vec<String>> {
    let folder = layout.root().join("tests/fuzz/corpus");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

/// cargo-fuzz, with a toolchain that has sanitizers.
struct Fuzzer {
    path: OsString,
}

impl Fuzzer {
    /// Installs cargo-fuzz if it is missing. `None` where it could not be used.
    fn find(layout: &Layout, steps: &Steps) -> Result<Option<Self>> {
        let nightly = Command::new("rustup")
            .args(["run", "nightly", "cargo", "--version"])
            .output();
        let has_nightly = nightly.is_ok_and(|output| output.status.success());
        if !has_nightly || !process::exists("c++") {
            return Ok(None);
        }
        let root = layout.setup().join("cargo-fuzz");
        let bin = root.join("bin");
        if !process::exists("cargo-fuzz") && !bin.join("cargo-fuzz").is_file() {
            steps.step("install cargo-fuzz", |step| {
                let mut cargo = host_cargo(layout.root(), "install");
                process::run(
                    cargo.args(["cargo-fuzz", "--locked", "--root"]).arg(&root),
                    step,
                )
            })?;
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain([bin]);
        let path = env::join_paths(folders)?;
        Ok(Some(Self { path }))
    }

    fn cargo(&self, layout: &Layout, verb: &str) -> Command {
        let mut cargo = Command::new("rustup");
        cargo
            .args(["run", "nightly", "cargo", "fuzz", verb, "--fuzz-dir", "."])
            .arg("--target-dir")
            .arg(layout.fuzz().join("build"))
            .arg("any")
            .current_dir(layout.root().join("tests/fuzz/libfuzzer"))
            .env("PATH", &self.path);
        cargo
    }

    fn build(&self, layout: &Layout) -> Command {
        self.cargo(layout, "build")
    }

    /// One target; what it finds is kept in `target/fuzz/findings`.
    fn run(
        &self,
        layout: &Layout,
        name: &str,
        options: &Options<'_>,
        step: &Step,
    ) -> Result<Value> {
        let start = Instant::now();
        let corpus = layout.fuzz().join("corpus").join(name);
        let findings = layout.fuzz().join("findings").join(name);
        for folder in [&corpus, &findings] {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let before = files(&findings)?;
        let checked_in = ["corpus", "regressions"]
            .map(|folder| layout.root().join("tests/fuzz").join(folder).join(name));
        let mut cargo = self.cargo(layout, "run");
        cargo
            .env("TLSGATE_FUZZ_TARGET", name)
            .arg(&corpus)
            .args(checked_in.iter().filter(|folder| folder.is_dir()))
            .arg("--")
            .arg(format!("-max_total_time={}", options.seconds))
            // 0 would be a seed of its own choice.
            .arg(format!("-seed={}", options.seed.max(1)))
            .arg(format!("-max_len={LONGEST}"))
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .arg("-print_final_stats=1");
        step.progress("running");
        let output = cargo.output().context("cannot start rustup")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let found: Vec<PathBuf> = files(&findings)?
            .into_iter()
            .filter(|file| !before.contains(file))
            .collect();
        if found.is_empty() && !output.status.success() {
            bail!("{}: libFuzzer: {said}", output.status);
        }
        let number = |key: &str| last_number(&said, key);
        step.note(&format!(
            "{} inputs",
            number("stat::number_of_executed_units:")
        ));
        Ok(json!({
            "engine": "libFuzzer",
            "executions": number("stat::number_of_executed_units:"),
            "coverage": number("cov:"),
            "corpus": files(&corpus)?.len(),
            "seconds": start.elapsed().as_secs(),
            "failed": found.len(),
            "findings": found,
        }))
    }
}

/// The number behind the last of these words; 0 if there is none.
fn last_number(text: &str, key: &str) -> u64 {
    text.rsplit_once(key)
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// The same properties by `cargo test`.
fn any_toolchain(
    layout: &Layout,
    steps: &Steps,
    options: &Options<'_>,
    wanted: &[&str],
) -> Result<BTreeMap<String, Value>> {
    let mut cargo = host_cargo(layout.root(), "test");
    cargo
        .args(["--locked", "-p", "tlsgate-fuzz", "--test", "properties"])
        .env("TLSGATE_FUZZ_TARGETS", wanted.join(" "));
    with(options, &mut cargo);
    let (body, _) = steps.loud("random inputs", || {
        report::given(layout, "fuzz", &mut cargo)
    })?;
    let rows = body["targets"].as_object().context("no targets were run")?;
    Ok(rows
        .iter()
        .map(|(name, row)| (name.clone(), row.clone()))
        .collect())
}

/// The driver in the lab: random requests of several handles at once.
fn lab(layout: &Layout, steps: &Steps, options: &Options<'_>) -> Result<Value> {
    let mut cargo = host_cargo(layout.root(), "test");
    cargo.args(["--locked", "-p", "tlsgate-e2e", "--test", "ioctl", "--"]);
    cargo.args(["--nocapture", "fuzz::"]);
    with(options, &mut cargo);
    let (body, _) = steps.loud("random requests in the lab", || {
        report::given(layout, "fuzz", &mut cargo)
    })?;
    Ok(body)
}

fn with(options: &Options<'_>, cargo: &mut Command) {
    cargo
        .env("TLSGATE_FUZZ_SECONDS", options.seconds.to_string())
        .env("TLSGATE_FUZZ_SEED", options.seed.to_string());
}
