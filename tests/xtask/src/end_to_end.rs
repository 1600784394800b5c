//! The end-to-end tests within `cargo xtask test`: several test programs at a time, each on a machine of its own.
//! They wait more than they compute.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use anyhow::{Result, bail};

use crate::{
    layout::Layout,
    process,
    soak::Beside,
    step::{Step, Steps},
    test::host_cargo,
};

/// The test programs in tests/e2e/tests but the soak and the benchmarks: those that take longest first, and those last that want
/// to be alone for a while.
const PROGRAMS: [&str; 8] = [
    "stream", "ioctl", "suites", "faults", "program", "install", "selftest", "library",
];

/// How many at a time: more would not be quicker on two processors.
const AT_A_TIME: &str = "2";

/// Says to the lab how many machines may be on at a time: see `tests/lab/machine/src/layout.rs`.
const MACHINES: &str = "TLSGATE_LAB_MACHINES";

/// Runs them all: one after the other while the soak goes on, then two at a time.
///
/// # Errors
///
/// The soak or a test has failed; the message has what it said.
pub fn run(layout: &Layout, steps: &Steps, soak: Beside) -> Result<()> {
    steps.step("end-to-end tests", |step| {
        process::run(cargo(layout).arg("--no-run"), step)?;
        let queue = Mutex::new(VecDeque::from(PROGRAMS));
        let failures = thread::scope(|scope| {
            let first = scope.spawn(|| work_off(layout, &queue, step));
            let second = scope.spawn(|| {
                let mut failures: Vec<_> = soak.end().err().into_iter().collect();
                failures.extend(work_off(layout, &queue, step));
                failures
            });
            let ended = [first, second]
                .into_iter()
                .map(thread::ScopedJoinHandle::join);
            ended
                .flat_map(|failures| failures.expect("no test panics in here"))
                .collect::<Vec<_>>()
        });
        if failures.is_empty() {
            return Ok(());
        }
        let said: Vec<_> = failures.iter().map(|error| format!("{error:#}")).collect();
        bail!("{}", said.join("\n\n"))
    })
}

/// Runs what nobody has run yet, as long as there is anything.
fn work_off(layout: &Layout, queue: &Mutex<VecDeque<&str>>, step: &Step) -> Vec<anyhow::Error> {
    let next = || {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.pop_front()
    };
    let mut failures = Vec::new();
    while let Some(program) = next() {
        let start = Instant::now();
        match process::heard(cargo(layout).args(["--test", program]), step) {
            Ok(said) => {
                let summary = said.lines().rfind(|line| line.starts_with("test result"));
                let seconds = start.elapsed().as_secs();
                step.note(&format!(
                    "{program}, {seconds} s: {}",
                    summary.unwrap_or("")
                ));
            }
            Err(error) => {
                step.note(&format!("{program}: failed"));
                failures.push(error);
            }
        }
    }
    failures
}

fn cargo(layout: &Layout) -> std::process::Command {
    let mut cargo = host_cargo(layout.root(), "test");
    cargo
        .args(["--locked", "-p", "tlsgate-e2e"])
        .env(MACHINES, AT_A_TIME)
        // Test by test: signals of one's programs that end disturb the sockets of another in the same process.
        .env("RUST_TEST_THREADS", "1");
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs};

    #[test]
    fn no_test_program_is_forgotten() {
        let layout = Layout::find().unwrap();
        let folder = fs::read_dir(layout.root().join("tests/e2e/tests")).unwrap();
        let there: BTreeSet<_> = folder
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut known: BTreeSet<_> = PROGRAMS.map(str::to_owned).into();
        known.extend(["soak", "bench"].map(str::to_owned));
        assert_eq!(there, known);
    }
}
