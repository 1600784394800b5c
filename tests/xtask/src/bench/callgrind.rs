//! Counts the instructions of one request of `tests/bench/instructions` with valgrind's callgrind: exact, and
//! the same each time.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{layout::Layout, process, step::Step, test::host_cargo};

const PACKAGE: &str = "tlsgate-instructions";

/// The function between whose entry and return is counted.
const MEASURED: &str = "tlsgate_instructions::measured";

/// Counts each of the program's requests, in its order.
///
/// # Errors
///
/// The program cannot be built or run, or two runs count differently.
pub fn count_all(layout: &Layout, step: &Step) -> Result<Vec<(String, u64)>> {
    // With the release profile, which is the driver's, too.
    let arguments = ["--locked", "--release", "-p", PACKAGE];
    process::run(host_cargo(layout.root(), "build").args(arguments), step)?;
    let program = layout.root().join("target/release").join(PACKAGE);
    let requests = process::output(&mut Command::new(&program))?;
    let counts = requests.lines().map(|request| {
        step.progress(request);
        let once = count(&program, request)?;
        let again = count(&program, request)?;
        ensure!(
            once == again,
            "{request}: {once} instructions, then {again}"
        );
        Ok((request.to_owned(), once))
    });
    counts.collect()
}

/// The compiler's version, on which counts depend.
///
/// # Errors
///
/// It cannot be asked.
pub fn compiler() -> Result<String> {
    let version = process::output(Command::new("rustc").arg("--version"))?;
    Ok(version.trim().to_owned())
}

fn count(program: &Path, request: &str) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let found = folder.path().join("callgrind");
    let mut command = Command::new("valgrind");
    command
        .args([
            "--tool=callgrind",
            "--compress-strings=no",
            "--compress-pos=no",
        ])
        .arg(format!("--toggle-collect={MEASURED}"))
        .arg(format!("--callgrind-out-file={}", found.display()))
        .arg(program)
        .arg(request)
        // Nothing of the caller's surroundings in its memory.
        .env_clear();
    process::output(&mut command)?;
    let found = fs::read_to_string(found)?;
    let name = program.to_str().context("a path in UTF-8")?;
    let count = instructions_of(&found, name)?;
    ensure!(count > 0, "{request}: callgrind has not seen {MEASURED}");
    Ok(count)
}

/// The instructions of one object's own code: what the C library does to allocate memory is no part of it, and
/// another on another machine. The format is in valgrind's manual, "Callgrind Format Specification".
fn instructions_of(found: &str, object: &str) -> Result<u64> {
    let (mut is_ours, mut is_called, mut sum) = (false, false, 0);
    for line in found.lines() {
        if let Some(name) = line.strip_prefix("ob=") {
            is_ours = name == object;
        } else if line.starts_with("calls=") {
            // The next line has what was called costs, in whatever object.
            is_called = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            let (_, cost) = line.split_once(' ').context("a line without its cost")?;
            if is_ours && !is_called {
                sum += cost.trim().parse::<u64>()?;
            }
            is_called = false;
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_programs_own_instructions_count() {
        let found = "\
version: 1
positions: line
events: Ir
summary: 141

ob=/lib/libc.so
fl=malloc.c
fn=malloc
12 100

ob=/the/program
fl=???
fn=leg
0 30
cob=/lib/libc.so
cfn=malloc
calls=1 12
0 100
0 11

totals: 141
";
        assert_eq!(instructions_of(found, "/the/program").unwrap(), 41);
        assert_eq!(instructions_of(found, "/lib/libc.so").unwrap(), 100);
        assert_eq!(instructions_of(found, "/another").unwrap(), 0);
    }
}
