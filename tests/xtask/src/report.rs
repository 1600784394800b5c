//! `target/reports/*.json`: what was tried, how often, and what failed, with the command that tried it and
//! the commit it was tried on.

use std::{fs, path::PathBuf, process::Command, time::Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{layout::Layout, process, step::Step};

/// Names to a run the file that it leaves its result in: see `tlsgate_e2e::report`.
const VARIABLE: &str = "TLSGATE_REPORT";

/// Writes `target/reports/NAME.json`: `body` with the command and the commit.
///
/// # Errors
///
/// `body` is no object, or the file cannot be written.
pub fn write(layout: &Layout, name: &str, command: &str, body: &Value) -> Result<()> {
    let mut report = json!({ "command": command, "commit": commit(layout) });
    for (key, value) in body.as_object().context("a report is an object")? {
        report[key] = value.clone();
    }
    let file = file(layout, name)?;
    fs::write(&file, serde_json::to_string_pretty(&report)?)
        .with_context(|| format!("writing {}", file.display()))
}

/// The commit that is checked out, with `-dirty` behind it when files differ; sources without their history have
/// none.
pub fn commit(layout: &Layout) -> Option<String> {
    let commit = process::output(
        Command::new("git")
            .args([
                "describe",
                "--always",
                "--abbrev=40",
                "--dirty",
                "--exclude=*",
            ])
            .current_dir(layout.root()),
    );
    commit.ok().map(|commit| commit.trim().to_owned())
}

/// Runs what gives its result by `tlsgate_e2e::report::give`, and writes the report of it, be the run a
/// success or not.
///
/// # Errors
///
/// The run failed, has given no result, or the report cannot be written.
pub fn of_run(layout: &Layout, name: &str, command: &str, run: &mut Command) -> Result<()> {
    let awaited = Awaited::prepare(layout, name)?;
    awaited.wanted_of(run);
    let ended = process::run_loud(run);
    awaited.write(layout, command, ended)
}

/// The result of a run that goes on.
pub struct Awaited {
    name: String,
    given: PathBuf,
    start: Instant,
}

impl Awaited {
    /// Makes place for it.
    ///
    /// # Errors
    ///
    /// The folder of the reports cannot be made.
    pub fn prepare(layout: &Layout, name: &str) -> Result<Self> {
        let given = file(layout, &format!("{name}.part"))?;
        _ = fs::remove_file(&given);
        Ok(Self {
            name: name.to_owned(),
            given,
            start: Instant::now(),
        })
    }

    /// Tells a command where to leave it.
    pub fn wanted_of(&self, run: &mut Command) {
        run.env(VARIABLE, &self.given);
    }

    /// Writes the report once the run has ended, in one way or the other.
    ///
    /// # Errors
    ///
    /// As [`of_run`].
    pub fn write(&self, layout: &Layout, command: &str, ended: Result<()>) -> Result<()> {
        let (body, ended) = self.read(ended)?;
        write(layout, &self.name, command, &body)?;
        for count in ["tried", "failed"] {
            ensure!(
                body[count].is_u64(),
                "{} does not say how many {count}",
                self.name
            );
        }
        ended
    }

    /// The result, and how the run ended.
    fn read(&self, ended: Result<()>) -> Result<(Value, Result<()>)> {
        let (text, ended) = match (fs::read_to_string(&self.given), ended) {
            // What ended it says more than that it has given nothing.
            (Err(_), Err(error)) => return Err(error),
            (text, ended) => (
                text.with_context(|| format!("{} has given no result", self.name))?,
                ended,
            ),
        };
        fs::remove_file(&self.given)?;
        let mut body: Value = serde_json::from_str(&text)?;
        body["seconds"] = json!(self.start.elapsed().as_secs());
        Ok((body, ended))
    }
}

/// Runs what gives its result by `tlsgate_e2e::report::give`: the result, with the seconds it took, and
/// whether the run was a success. For a report that is made of several runs.
///
/// # Errors
///
/// The run has given no result.
pub fn given(layout: &Layout, name: &str, run: &mut Command) -> Result<(Value, Result<()>)> {
    let awaited = Awaited::prepare(layout, name)?;
    awaited.wanted_of(run);
    awaited.read(process::run_loud(run))
}

/// The same, with the run's lines as the progress of a step.
///
/// # Errors
///
/// The run has given no result.
pub fn given_in(
    layout: &Layout,
    name: &str,
    run: &mut Command,
    step: &Step,
) -> Result<(Value, Result<()>)> {
    let awaited = Awaited::prepare(layout, name)?;
    awaited.wanted_of(run);
    awaited.read(process::run(run, step))
}

fn file(layout: &Layout, name: &str) -> Result<PathBuf> {
    let folder = layout.root().join("target/reports");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder.join(format!("{name}.json")))
}
