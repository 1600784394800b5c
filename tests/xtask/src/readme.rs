//! The README's status table: every test that it names exists.
#![cfg(test)]

use crate::layout::Layout;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Where tests are.
const FOLDERS: [&str; 6] = [
    "driver",
    "tests/client",
    "tests/e2e",
    "tests/fuzz",
    "tests/lab",
    "tests/xtask",
];

/// A row of the status table.
pub struct Row {
    /// What is said to work.
    pub feature: String,
    /// The tests that show it.
    pub proof: String,
    /// What Windows may say otherwise.
    doubt: String,
}

impl Row {
    /// Whether it says of itself that nothing proves it.
    pub fn is_unproven(&self) -> bool {
        ["not proven", "unproven"]
            .iter()
            .any(|word| self.proof.contains(word) || self.doubt.contains(word))
    }
}

/// The rows of the table, without its head and its sections' titles.
pub fn rows(layout: &Layout) -> Vec<Row> {
    let readme = fs::read_to_string(layout.root().join("README.md")).unwrap();
    let (_, text) = readme.split_once("\n## Status\n").unwrap();
    let (_, table) = text.split_once("|---|---|---|\n").unwrap();
    table
        .lines()
        .take_while(|line| line.starts_with("| "))
        .map(|line| {
            let mut cells = line.split('|').skip(1).map(|cell| cell.trim().to_owned());
            let mut cell = || cells.next().unwrap();
            Row {
                feature: cell(),
                proof: cell(),
                doubt: cell(),
            }
        })
        .filter(|row| !row.proof.is_empty())
        .collect()
}

/// The names of all tests.
pub fn tests(layout: &Layout) -> BTreeSet<String> {
    FOLDERS
        .iter()
        .flat_map(|folder| tests_in(&layout.root().join(folder)))
        .collect()
}

/// The names of the tests in the Rust sources below a folder.
pub fn tests_in(folder: &Path) -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(folder, &mut files);
    let mut names = BTreeSet::new();
    for file in files {
        tests_of(&fs::read_to_string(file).unwrap(), &mut names);
    }
    names
}

/// The Rust sources below a folder.
pub fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                sources(&path, files);
            }
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            files.push(path);
        }
    }
}

/// Functions behind `#[test]`.
fn tests_of(text: &str, names: &mut BTreeSet<String>) {
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(rest) = line
            .strip_prefix("async ")
            .unwrap_or(line)
            .strip_prefix("fn ")
        {
            if is_test && let Some(name) = rest.split('(').next() {
                names.insert(name.to_owned());
            }
            is_test = false;
        }
    }
}

#[test]
fn every_test_that_the_status_table_names_exists() {
    let layout = Layout::find().unwrap();
    let names = tests(&layout);
    let mut count = 0;
    for row in rows(&layout) {
        for name in row.proof.split('`').skip(1).step_by(2) {
            if name.contains('_') && !name.contains(['/', ' ', '.']) {
                assert!(
                    names.contains(name),
                    "no test {name}, which is said to prove {}",
                    row.feature
                );
                count += 1;
            }
        }
    }
    assert!(count > 40, "{count} names were found");
}
