//! The properties on any toolchain: for the corpus, for what was found once, and for random inputs of a seed.
//!
//! `TLSGATE_FUZZ_SECONDS` is how long each target takes (1), `TLSGATE_FUZZ_SEED` where its inputs come from (1),
//! `TLSGATE_FUZZ_TARGETS` which ones take part (all). Input `n` of a seed is always the same.

use std::{
    collections::BTreeMap,
    env, fs, panic,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use serde_json::{Value, json};
use tlsgate_fuzz::{TARGETS, Target};

/// Longest random input.
const LONGEST: usize = 1024;

#[test]
fn the_decoder_and_the_policy_hold_for_any_bytes() -> Result<()> {
    let seconds = number("TLSGATE_FUZZ_SECONDS")?.unwrap_or(1);
    let seed = number("TLSGATE_FUZZ_SEED")?.unwrap_or(1);
    let wanted = env::var("TLSGATE_FUZZ_TARGETS").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split_whitespace().collect();
    let mut rows = BTreeMap::new();
    for target in TARGETS {
        if wanted.is_empty() || wanted.contains(&target.name) {
            let row = one(*target, seed, Duration::from_secs(seconds))?;
            rows.insert(target.name, row);
            give(seed, &rows)?;
        }
    }
    let findings: Vec<_> = rows
        .iter()
        .filter(|(_, row)| row["findings"] != json!([]))
        .collect();
    ensure!(findings.is_empty(), "{findings:#?}");
    Ok(())
}

#[test]
fn every_target_has_its_corpus_and_nothing_else_has() -> Result<()> {
    for folder in ["corpus", "regressions"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in fs::read_dir(&folder)? {
            let name = entry?.file_name().into_string().unwrap_or_default();
            let is_known = tlsgate_fuzz::target(&name).is_some() || name == "README.md";
            ensure!(is_known, "{} is of no target", folder.join(name).display());
        }
    }
    for target in TARGETS {
        ensure!(!seeds(*target)?.is_empty(), "{} has no corpus", target.name);
    }
    Ok(())
}

/// Every target, whose name the report of a run has.
fn give(seed: u64, rows: &BTreeMap<&str, Value>) -> Result<()> {
    let sum = |key: &str| -> u64 { rows.values().filter_map(|row| row[key].as_u64()).sum() };
    tlsgate_e2e::report::give(&json!({
        "engine": "random inputs on any toolchain",
        "seed": seed,
        "tried": sum("executions"),
        "failed": sum("failed"),
        "targets": rows,
    }))
}

/// The checked-in inputs, then random ones until the time is over or one is found that fails.
fn one(target: Target, seed: u64, time: Duration) -> Result<Value> {
    let start = Instant::now();
    let seeds = seeds(target)?;
    let mut findings = Vec::new();
    let mut executions = 0_u64;
    for input in &seeds {
        findings.extend(fails(target, input));
        executions += 1;
    }
    while findings.is_empty() && start.elapsed() < time {
        findings.extend(fails(target, &random_input(&seeds, seed, executions)));
        executions += 1;
    }
    Ok(json!({
        "executions": executions,
        "corpus": seeds.len(),
        "seconds": start.elapsed().as_secs(),
        "failed": findings.len(),
        "findings": findings,
    }))
}

/// What the target says of an input that it does not hold for, and the input.
fn fails(target: Target, input: &[u8]) -> Option<Value> {
    let said = panic::catch_unwind(|| (target.run)(input)).err()?;
    let said = said
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| said.downcast_ref::<&str>().map(ToString::to_string));
    let hex: Vec<String> = input.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(json!({ "input": hex.concat(), "said": said }))
}

/// Something new, or one or two of the seeds with some bytes changed.
fn random_input(seeds: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number);
    let length = random.usize(..LONGEST);
    let fresh = |random: &mut Rng| (0..length).map(|_| random.u8(..)).collect::<Vec<u8>>();
    if seeds.is_empty() || random.u8(..) < 64 {
        // Small numbers mean more than large ones.
        let mask = [0xFF, 0x0F, 0x3F][random.usize(..3)];
        return fresh(&mut random).iter().map(|byte| byte & mask).collect();
    }
    let mut input = seeds[random.usize(..seeds.len())].clone();
    if random.bool() {
        let other = &seeds[random.usize(..seeds.len())];
        let cut = random.usize(..=input.len());
        let from = random.usize(..=other.len());
        input.truncate(cut);
        input.extend(&other[from..]);
    }
    for _ in 0..random.usize(..6) {
        let place = random.usize(..=input.len());
        match (input.get_mut(place), random.u8(..5)) {
            (Some(byte), 0) => *byte = random.u8(..),
            (Some(byte), 1) => *byte ^= 1 << random.u8(..8),
            (Some(byte), 2) => *byte = byte.wrapping_add(random.u8(..3)).wrapping_sub(1),
            (Some(_), 3) => _ = input.remove(place),
            _ => input.insert(place, random.u8(..)),
        }
    }
    input
}

/// The checked-in inputs of a target.
fn seeds(target: Target) -> Result<Vec<Vec<u8>>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in ["corpus", "regressions"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(folder)
            .join(target.name);
        if folder.is_dir() {
            for entry in fs::read_dir(&folder)? {
                files.push(entry?.path());
            }
        }
    }
    files.sort();
    let read = |file: &PathBuf| fs::read(file).with_context(|| format!("{}", file.display()));
    files.iter().map(read).collect()
}

fn number(variable: &str) -> Result<Option<u64>> {
    let text = env::var(variable).ok();
    text.map(|text| text.parse().with_context(|| format!("{variable}={text}")))
        .transpose()
}
