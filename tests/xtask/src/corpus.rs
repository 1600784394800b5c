//! `cargo xtask fuzz --record`: the requests that end-to-end tests send become part of the fuzzers' corpus, one
//! of a kind.
//!
//! The KMDF stand-in keeps them as they came (`tests/lab/kmdf/src/recorder.rs`). They are where the decoder's
//! fuzzing starts from, and what the lab's sends again with ids that exist.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::{
    build::{self, Tools},
    layout::Layout,
    process,
    step::Steps,
    test::host_cargo,
};

/// The test programs whose requests are kept.
const PROGRAMS: [&str; 4] = ["ioctl", "stream", "library", "selftest"];

/// Names the folder to the lab: see `tests/lab/machine/src/layout.rs`.
const REQUESTS: &str = "TLSGATE_LAB_REQUESTS";

/// How their files' names begin in the corpus.
const NAME: &str = "sent-";

/// How many are kept of codes that are sent in one way only.
const ONCE: u32 = 16;

/// A control code, and how many bits the lengths of input and room have.
type Kind = (u32, u32, u32);

/// Runs the tests, and replaces what an earlier run has kept.
///
/// # Errors
///
/// A build or a test failed, or a file cannot be read or written.
pub fn record(layout: &Layout, steps: &Steps) -> Result<()> {
    let tools = Tools::ready(layout, steps)?;
    build::all(layout, &tools, steps)?;
    let folder = layout.fuzz().join("requests");
    _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    for program in PROGRAMS {
        steps.step(&format!("end-to-end tests: {program}"), |step| {
            let mut cargo = host_cargo(layout.root(), "test");
            cargo
                .args(["--locked", "-p", "tlsgate-e2e", "--test", program])
                // Neither what is drawn nor what is much of the same.
                .args(["--", "--skip", "fuzz::", "--skip", "load::"])
                .env(REQUESTS, &folder)
                .env("RUST_TEST_THREADS", "1");
            process::run(&mut cargo, step)
        })?;
    }
    steps.step("one of a kind", |step| {
        let corpus = layout.root().join("tests/fuzz/corpus/decode");
        let count = choose(&folder, &corpus)?;
        step.note(&format!("{count} requests"));
        Ok(())
    })
}

/// Puts the first of each kind into the corpus, in the place of those that are there from before.
fn choose(requests: &Path, corpus: &Path) -> Result<usize> {
    let mut kinds: BTreeMap<Kind, Vec<u8>> = BTreeMap::new();
    for file in files(requests)? {
        let bytes = fs::read(&file).with_context(|| format!("{}", file.display()))?;
        let kind = kind(&bytes).with_context(|| format!("{}: no request", file.display()))?;
        kinds.entry(kind).or_insert(bytes);
    }
    ensure!(!kinds.is_empty(), "the tests have sent nothing");
    // Tests try hundreds of codes that mean nothing, each once.
    let mut of_code: BTreeMap<u32, u32> = BTreeMap::new();
    for (code, ..) in kinds.keys() {
        *of_code.entry(*code).or_default() += 1;
    }
    let mut once = 0;
    kinds.retain(|(code, ..), _| {
        once += u32::from(of_code.get(code) == Some(&1));
        of_code.get(code) != Some(&1) || once <= ONCE
    });
    for file in files(corpus)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(NAME) {
            fs::remove_file(&file)?;
        }
    }
    for ((code, input, room), bytes) in &kinds {
        let file = corpus.join(format!("{NAME}{code:08x}-{input}-{room}"));
        // 0 says to the target that a request follows: see `tests/fuzz/src/decode.rs`.
        fs::write(&file, [&[0], &**bytes].concat())
            .with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(kinds.len())
}

/// The control code and the room stand in front of the input.
fn kind(bytes: &[u8]) -> Option<Kind> {
    let (code, rest) = bytes.split_first_chunk()?;
    let (room, input) = rest.split_first_chunk()?;
    let room = u32::from_le_bytes(*room);
    let bits = usize::BITS - input.len().leading_zeros();
    Some((
        u32::from_le_bytes(*code),
        bits,
        u32::BITS - room.leading_zeros(),
    ))
}

/// The files of a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(folder)
        .with_context(|| format!("{}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_kind_takes_the_place_of_what_was_kept_before() {
        let folder = tempfile::tempdir().unwrap();
        let [requests, corpus] = ["requests", "corpus"].map(|name| folder.path().join(name));
        for folder in [&requests, &corpus] {
            fs::create_dir(folder).unwrap();
        }
        let request = |code: u32, room: u32, input: &[u8]| {
            [&code.to_le_bytes()[..], &room.to_le_bytes(), input].concat()
        };
        fs::write(requests.join("a"), request(7, 100, &[1; 9])).unwrap();
        fs::write(requests.join("b"), request(7, 120, &[2; 15])).unwrap();
        fs::write(requests.join("c"), request(7, 100, &[3; 16])).unwrap();
        for name in ["sent-old", "other"] {
            fs::write(corpus.join(name), "").unwrap();
        }
        assert_eq!(choose(&requests, &corpus).unwrap(), 2);
        let names: Vec<_> = files(&corpus)
            .unwrap()
            .iter()
            .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["other", "sent-00000007-4-7", "sent-00000007-5-7"]);
        let kept = fs::read(corpus.join(&names[1])).unwrap();
        assert_eq!(kept, [&[0][..], &request(7, 100, &[1; 9])].concat());
        fs::write(requests.join("d"), "short").unwrap();
        assert!(choose(&requests, &corpus).is_err());
    }
}
