//! Runs other programs: quietly, with their output shown when they fail, or loudly.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    sync::Mutex,
    thread,
};

use anyhow::{Context, Result, bail};

use crate::step::Step;

/// Runs a command whose output only matters when it fails; its lines are the step's progress.
pub fn run(command: &mut Command, step: &Step) -> Result<()> {
    heard(command, step).map(drop)
}

/// The same, and gives what it printed, of both streams.
pub fn heard(command: &mut Command, step: &Step) -> Result<String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    let lines = Mutex::new(Vec::new());
    let follow = |stream: Box<dyn Read + Send>| {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            step.progress(line.trim_start());
            lines
                .lock()
                .expect("no thread panics with the lock held")
                .push(line);
        }
    };
    let (out, err) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        if let Some(out) = out {
            scope.spawn(|| follow(Box::new(out)));
        }
        if let Some(err) = err {
            scope.spawn(|| follow(Box::new(err)));
        }
    });
    let status = child.wait()?;
    let lines = lines
        .into_inner()
        .expect("no thread panics with the lock held")
        .join("\n");
    if !status.success() {
        bail!("{status}: {}\n{lines}", shown(command));
    }
    Ok(lines)
}

/// Runs a command whose output goes to the person.
pub fn run_loud(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{status}: {}", shown(command));
    }
    Ok(())
}

/// What a command printed.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        bail!(
            "{}: {}\n{}",
            output.status,
            shown(command),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program can be started at all.
pub fn exists(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
