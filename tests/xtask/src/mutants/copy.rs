//! A copy of the sources to change: builds go to a folder of its own, which stays warm, and its machine
//! is its own. The work tree is never touched.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::list::{Mutant, Part, Test};
use crate::{
    build::{self, Tools},
    image,
    layout::Layout,
    process,
    step::Step,
    test::host_cargo,
    toolchain::GNU,
};

/// What is no source.
const SKIPPED: [&str; 2] = ["target", ".git"];

/// Whose tests explore interleavings.
const POLICY: &str = "tlsgate-core";

/// Seconds after which a test that has not ended is killed: many times what the longest takes.
const LIMIT: &str = "900";

/// Characters of what a test said that are kept.
const MOST_SAID: usize = 200;

/// How `timeout` says that it has killed what it ran.
const TIMED_OUT: i32 = 124;

/// What became of a test.
#[derive(Debug)]
pub enum Ran {
    /// It passed.
    Passed,
    /// It failed, and said why.
    Failed(String),
}

/// The copy.
pub struct Scratch<'a> {
    /// The work tree.
    original: &'a Layout,
    layout: Layout,
    tools: &'a Tools,
}

impl<'a> Scratch<'a> {
    /// Copies what has changed since the last time, so that cargo builds no more than that, and gives it the
    /// modules that the work tree has built.
    ///
    /// # Errors
    ///
    /// A file cannot be read or written.
    pub fn make(original: &'a Layout, tools: &'a Tools) -> Result<Self> {
        let layout = original.of_copy();
        synchronise(original.root(), layout.root())?;
        for (from, to) in [
            (original.modules(), layout.modules()),
            (original.package(), layout.package()),
        ] {
            synchronise(&from, &to)?;
        }
        Ok(Self {
            original,
            layout,
            tools,
        })
    }

    /// Makes the change.
    ///
    /// # Errors
    ///
    /// It does not fit the file.
    pub fn change(&self, mutant: &Mutant) -> Result<()> {
        let text = fs::read_to_string(self.original.root().join(&mutant.file))?;
        fs::write(self.layout.root().join(&mutant.file), mutant.apply(&text)?)
            .with_context(|| format!("changing {}", mutant.file))
    }

    /// Takes the change back.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn restore(&self, mutant: &Mutant) -> Result<()> {
        let text = fs::read(self.original.root().join(&mutant.file))?;
        fs::write(self.layout.root().join(&mutant.file), text)
            .with_context(|| format!("restoring {}", mutant.file))
    }

    /// Builds a part for the machine and gives its bytes: those to compare, and to put back.
    ///
    /// # Errors
    ///
    /// It cannot be built.
    pub fn build(&self, part: Part, step: &Step) -> Result<Vec<u8>> {
        let built = match part {
            Part::Driver => {
                let target = self.layout.driver_target();
                let built =
                    build::build_driver(&self.layout, self.tools, "tlsgate", &target, step)?;
                let map = fs::read(built.join("deps/tlsgate.map"))?;
                fs::write(self.layout.package().join("tlsgate.map"), map)?;
                built.join("tlsgate.dll")
            }
            Part::Kmdf => {
                let mut cargo = build::windows_cargo(&self.layout, self.tools, "build");
                process::run(cargo.args(["-p", "tlsgate-lab-kmdf"]), step)?;
                self.layout
                    .windows_target()
                    .join(GNU)
                    .join("release/wdfldr.dll")
            }
            Part::Program => {
                let mut cargo = build::windows_cargo(&self.layout, self.tools, "build");
                // Optimising the whole of it takes longer than the test.
                cargo.env("CARGO_PROFILE_RELEASE_LTO", "off");
                process::run(cargo.args(["-p", "tlsgate-client"]), step)?;
                self.layout
                    .windows_target()
                    .join(GNU)
                    .join("release/tlsgate.exe")
            }
            Part::Test => return Ok(Vec::new()),
        };
        let data = fs::read(&built).with_context(|| built.display().to_string())?;
        self.put(part, &data)?;
        Ok(data)
    }

    /// Puts what was built where the machine takes it from.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn put(&self, part: Part, data: &[u8]) -> Result<()> {
        let place = match part {
            Part::Driver => self.layout.package().join("tlsgate.sys"),
            Part::Kmdf => self.layout.modules().join("wdfldr.sys"),
            Part::Program => self.layout.package().join("tlsgate.exe"),
            Part::Test => return Ok(()),
        };
        fs::write(&place, data).with_context(|| place.display().to_string())
    }

    /// Builds a test for the host.
    ///
    /// # Errors
    ///
    /// It cannot be built.
    pub fn prepare(&self, test: &Test, step: &Step) -> Result<()> {
        match test.place() {
            Some((package, target, _)) => {
                process::run(self.host_test(package, target).arg("--no-run"), step)
            }
            None => Ok(()),
        }
    }

    /// Runs a test, which has been built.
    ///
    /// # Errors
    ///
    /// It cannot be run, or there is none of that name.
    pub fn run(&self, test: &Test) -> Result<Ran> {
        let Some((package, target, name)) = test.place() else {
            let checked = image::package(&self.layout);
            return Ok(checked.map_or_else(
                |error| Ran::Failed(said(&format!("{error}"))),
                |()| Ran::Passed,
            ));
        };
        let cargo = self.host_test(package, target);
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=10", LIMIT])
            .arg(cargo.get_program())
            .args(cargo.get_args())
            .args(["--", "--exact", name])
            .envs(
                cargo
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("RUST_BACKTRACE", "0")
            .current_dir(self.layout.root())
            .stdin(Stdio::null());
        let output = command.output().context("timeout cannot be run")?;
        let bytes = [output.stdout, output.stderr].concat();
        let shown = String::from_utf8_lossy(&bytes);
        if !shown.contains("running 1 test\n") {
            bail!("{package} {target} has no test {name}:\n{shown}");
        }
        Ok(match output.status.code() {
            Some(0) => Ran::Passed,
            Some(TIMED_OUT) => Ran::Failed(format!("it did not end within {LIMIT} seconds")),
            _ => Ran::Failed(said(&shown)),
        })
    }

    fn host_test(&self, package: &str, target: &str) -> Command {
        let mut cargo = host_cargo(self.layout.root(), "test");
        cargo.args(["--quiet", "--locked", "-p", package]);
        match target {
            "lib" => cargo.arg("--lib"),
            "bin" => cargo.arg("--bins"),
            _ => cargo.args(["--test", target]),
        };
        // Exploring every interleaving is slow work for an unoptimised build; so is optimising the whole of
        // it for one test.
        if package == POLICY {
            cargo
                .arg("--release")
                .env("CARGO_PROFILE_RELEASE_LTO", "off");
        }
        cargo
    }
}

/// Why a test failed, in a line: the rule that was broken, or else the innermost error, which is what a
/// program said that ended badly.
fn said(text: &str) -> String {
    let text = text
        .rsplit_once("\nfailures:\n")
        .map_or(text, |(before, _)| before);
    let stop = text.lines().find(|line| line.trim().starts_with("STOP "));
    let behind = |mark| Some(text.rsplit_once(mark)?.1);
    let said = stop
        .or_else(|| behind("Error: "))
        .or_else(|| behind("panicked at "))
        .unwrap_or(text);
    let words: Vec<&str> = said.split_whitespace().collect();
    words.join(" ").chars().take(MOST_SAID).collect()
}

/// Makes `to` hold the same files as `from`. What is the same already is not written: a newer time stamp
/// would have it built again.
fn synchronise(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    let wanted = names(from)?;
    for name in names(to)? {
        let old = to.join(&name);
        if !wanted.contains(&name) {
            if old.is_dir() {
                fs::remove_dir_all(&old)?;
            } else {
                fs::remove_file(&old)?;
            }
        }
    }
    for name in wanted {
        let (source, target) = (from.join(&name), to.join(&name));
        if source.is_dir() {
            synchronise(&source, &target)?;
            continue;
        }
        let data = fs::read(&source).with_context(|| source.display().to_string())?;
        match fs::read(&target) {
            Ok(present) if present == data => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => fs::write(&target, data).with_context(|| target.display().to_string())?,
        }
    }
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let name = entry?.file_name();
        if !SKIPPED.iter().any(|skipped| name == OsStr::new(skipped)) {
            names.push(name.into());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_has_what_the_original_has_and_builds_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for name in ["kept", "a/changed", "target/built"] {
            let file = from.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, name).unwrap();
        }
        synchronise(&from, &to).unwrap();
        assert!(!to.join("target").exists());
        let written = || fs::metadata(to.join("kept")).unwrap().modified().unwrap();
        let before = written();
        fs::create_dir(to.join("target")).unwrap();
        fs::write(to.join("a/changed"), "by a mutant").unwrap();
        fs::write(to.join("gone"), "").unwrap();
        synchronise(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("a/changed")).unwrap(), b"a/changed");
        assert!(to.join("target").exists() && !to.join("gone").exists());
        assert_eq!(written(), before);
    }

    #[test]
    fn a_broken_rule_says_more_than_the_error() {
        let text = "\nError: it ended\n\nCaused by:\n  STOP irql: too high\n";
        assert_eq!(said(text), "STOP irql: too high");
        let text =
            "\nError: the probe\n\nCaused by:\n  outError: late\n  by far\n\nfailures:\n  x\n";
        assert_eq!(said(text), "late by far");
        assert_eq!(
            said("thread 'x' panicked at a.rs:1:2:\nleft\n"),
            "a.rs:1:2: left"
        );
    }
}
