//! The README's status table: every test that it names exists.
#![cfg(test)]

use crate::layout::Layout;
use std::{collections::BTreeSet, fs, path::Path};

/// Where tests are.
const FOLDERS: [&str; 5] = [
    "driver",
    "tests/client",
    "tests/e2e",
    "tests/lab",
    "tests/xtask",
];

/// The names of the tests in the Rust sources below a folder.
pub fn tests_in(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    add_tests(folder, &mut names);
    names
}

fn add_tests(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                add_tests(&path, names);
            }
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            tests_of(&fs::read_to_string(path).unwrap(), names);
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
    let mut names = BTreeSet::new();
    for folder in FOLDERS {
        names.extend(tests_in(&layout.root().join(folder)));
    }
    let readme = fs::read_to_string(layout.root().join("README.md")).unwrap();
    let (_, table) = readme.split_once("\n## Status\n").unwrap();
    let mut count = 0;
    for row in table.lines().filter(|line| line.starts_with("| ")) {
        let proof = row.split('|').nth(2).unwrap();
        for name in proof.split('`').skip(1).step_by(2) {
            if name.contains('_') && !name.contains(['/', ' ', '.']) {
                assert!(
                    names.contains(name),
                    "no test {name}, which is said to prove {row}"
                );
                count += 1;
            }
        }
    }
    assert!(count > 40, "{count} names were found");
}
