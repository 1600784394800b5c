//! What a run found, as a file. It is written anew with each case, so that after a crash of the
//! machine it names the case that was running.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs::File, io::Write, path::Path};

/// The whole file. Its form is the same as long as `format` is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// 1.
    pub format: u32,
    /// When the run began, RFC 3339 in UTC.
    pub began: String,
    /// What it ran on.
    pub environment: Environment,
    /// The cases, in the order in which they ran.
    pub cases: Vec<Entry>,
}

/// What a run, or a measurement, was made on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Windows' version and build, as `10.0.22631`.
    pub windows: String,
    /// Wine's version, where that is what calls itself Windows.
    pub wine: Option<String>,
    /// Logical processors that this program may use.
    pub processors: usize,
    /// This program's version.
    pub program: String,
    /// The driver's version.
    pub driver: String,
    /// The driver's ABI version.
    pub abi: u32,
    /// What the driver has observed of ksecdd.sys since it was loaded: counts by name, and `calls`.
    pub observed_of_ksecdd: BTreeMap<String, u64>,
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it took.
    pub milliseconds: u64,
    /// Why it failed, or a remark.
    pub message: String,
}

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It has begun and not ended: the machine or the program crashed.
    Running,
    /// Everything was as it should be.
    Passed,
    /// Something was not.
    Failed,
    /// It took longer than it may.
    TimedOut,
}

impl Environment {
    /// For people.
    pub fn line(&self) -> String {
        let wine = self.wine.as_ref();
        let wine = wine.map_or(String::new(), |version| format!(" (Wine {version})"));
        format!(
            "Windows {}{wine}, {} processors, TlsGate {} with ABI version {}",
            self.windows, self.processors, self.driver, self.abi
        )
    }
}

impl Report {
    /// Writes it to the disk.
    pub fn write(&self, path: &Path) -> Result<()> {
        let write = || -> Result<()> {
            let mut file = File::create(path)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            Ok(file.sync_all()?)
        };
        write().with_context(|| format!("cannot write the report {}", path.display()))
    }

    /// The names of the cases that did not pass.
    pub fn failed(&self) -> Vec<&str> {
        let failed = self.cases.iter().filter(|it| it.outcome != Outcome::Passed);
        failed.map(|it| &*it.name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read_and_names_what_failed() {
        let entry = |name: &str, outcome| Entry {
            name: name.into(),
            outcome,
            milliseconds: 7,
            message: "\"quoted\"".into(),
        };
        let report = Report {
            format: 1,
            began: "2026-01-01T00:00:00Z".into(),
            environment: Environment {
                windows: "10.0.22631".into(),
                wine: None,
                processors: 2,
                program: "0.1.0".into(),
                driver: "0.1.0".into(),
                abi: 1,
                observed_of_ksecdd: [("calls".to_owned(), 7)].into(),
            },
            cases: vec![
                entry("a", Outcome::Passed),
                entry("b", Outcome::TimedOut),
                entry("c", Outcome::Running),
            ],
        };
        let folder = std::env::temp_dir().join(format!("tlsgate-report-{}", std::process::id()));
        report.write(&folder).unwrap();
        let text = std::fs::read_to_string(&folder).unwrap();
        std::fs::remove_file(&folder).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
        assert!(text.contains("\"timed-out\""), "{text}");
        assert_eq!(report.failed(), ["b", "c"]);
    }
}
