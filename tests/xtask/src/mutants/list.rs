//! The list of mutations, `tests/mutants/*.toml`: for each row of the README's status table a guard that
//! is removed, and the test that must then fail.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// One section of the README's status table a file, in its order; and what the models see of several rows.
const FILES: [&str; 8] = [
    "handshakes",
    "asynchronous",
    "records",
    "life",
    "identity",
    "driver",
    "around",
    "models",
];

/// The package of the end-to-end tests.
pub const END_TO_END: &str = "tlsgate-e2e";

/// All mutations.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// In the order of the files.
    #[serde(default)]
    pub mutant: Vec<Mutant>,
    /// Rows that have none.
    #[serde(default)]
    pub without: Vec<Without>,
}

/// A guard that is removed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// The first cell of its row in the README's status table.
    pub row: String,
    /// What the change takes away.
    pub why: String,
    /// The file that is changed, from the root of the work tree.
    pub file: String,
    /// Text that occurs once in it.
    pub find: String,
    /// What stands there instead.
    pub replace: String,
    /// The test that must fail.
    pub test: String,
}

/// A row that no mutation can prove.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Without {
    /// As in [`Mutant::row`].
    pub row: String,
    /// Why there is none. The README says of such a row that it is not proven.
    pub why: String,
}

/// What runs a test.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Test {
    /// One of the end-to-end tests, against the driver that was built.
    EndToEnd {
        /// `stream` or `ioctl`.
        target: String,
        /// Its full name in there.
        name: String,
    },
    /// A test of a package for the host.
    Host {
        /// The package.
        package: String,
        /// `lib`, `bin`, or the name of a file in `tests`.
        target: String,
        /// Its full name in there.
        name: String,
    },
    /// The check of the packaged driver.
    Package,
}

/// What a change is built into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `tlsgate.sys`.
    Driver,
    /// `wdfldr.sys`, the KMDF stand-in.
    Kmdf,
    /// `tlsgate.exe`.
    Program,
    /// The test itself.
    Test,
}

/// What the KMDF stand-in is built from.
const KMDF: &str = "tests/lab/kmdf/";

/// What the program is built from.
const PROGRAM: &str = "tests/client/";

impl List {
    /// Reads all of it.
    ///
    /// # Errors
    ///
    /// A file is missing, or not of this form.
    pub fn read(root: &Path) -> Result<Self> {
        let mut all = Self::default();
        for name in FILES {
            let file = root.join("tests/mutants").join(name).with_extension("toml");
            let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let list: Self = toml::from_str(&text).with_context(|| file.display().to_string())?;
            all.mutant.extend(list.mutant);
            all.without.extend(list.without);
        }
        Ok(all)
    }

    /// The mutants that are wanted, each with its number: a number names one, other text all those with
    /// it in their row; all if nothing is named.
    ///
    /// # Errors
    ///
    /// A name fits none.
    pub fn choose(&self, wanted: &[String]) -> Result<Vec<(usize, &Mutant)>> {
        let fits = |name: &String, number: usize, mutant: &Mutant| {
            name.parse().map_or_else(
                |_| mutant.row.contains(name.as_str()),
                |wanted: usize| wanted == number,
            )
        };
        let numbered = || (1..).zip(&self.mutant);
        for name in wanted {
            ensure!(
                numbered().any(|(number, mutant)| fits(name, number, mutant)),
                "no mutant has the number {name} or this in its row"
            );
        }
        Ok(numbered()
            .filter(|(number, mutant)| {
                wanted.is_empty() || wanted.iter().any(|name| fits(name, *number, mutant))
            })
            .collect())
    }
}

impl Test {
    /// Its package, its target in there and its full name; none for what is no test of cargo's.
    pub fn place(&self) -> Option<(&str, &str, &str)> {
        match self {
            Self::EndToEnd { target, name } => Some((END_TO_END, target, name)),
            Self::Host {
                package,
                target,
                name,
            } => Some((package, target, name)),
            Self::Package => None,
        }
    }
}

impl Mutant {
    /// The file's text with the change.
    ///
    /// # Errors
    ///
    /// The text to change does not occur exactly once.
    pub fn apply(&self, text: &str) -> Result<String> {
        let count = text.matches(&self.find).count();
        ensure!(
            count == 1,
            "{} has {count} times, not once: {}",
            self.file,
            self.find
        );
        Ok(text.replacen(&self.find, &self.replace, 1))
    }

    /// What runs the test that is named.
    ///
    /// # Errors
    ///
    /// It is not of a known form.
    pub fn test(&self) -> Result<Test> {
        let words: Vec<&str> = self.test.split_whitespace().collect();
        match words[..] {
            ["xtask", "package"] => Ok(Test::Package),
            [END_TO_END, target, name] => Ok(Test::EndToEnd {
                target: target.to_owned(),
                name: name.to_owned(),
            }),
            [package, target, name] => Ok(Test::Host {
                package: package.to_owned(),
                target: target.to_owned(),
                name: name.to_owned(),
            }),
            _ => anyhow::bail!("not a test: {}", self.test),
        }
    }

    /// What the change is built into.
    ///
    /// # Errors
    ///
    /// As for [`Self::test`].
    pub fn part(&self) -> Result<Part> {
        Ok(match self.test()? {
            Test::Host { .. } => Part::Test,
            _ if self.file.starts_with(KMDF) => Part::Kmdf,
            _ if self.file.starts_with(PROGRAM) => Part::Program,
            _ => Part::Driver,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{layout::Layout, readme};
    use std::collections::BTreeSet;

    fn list() -> (Layout, List) {
        let layout = Layout::find().unwrap();
        let list = List::read(layout.root()).unwrap();
        (layout, list)
    }

    #[test]
    fn every_change_has_its_place_and_changes_what_is_tested() {
        let (layout, list) = list();
        for mutant in &list.mutant {
            let text = fs::read_to_string(layout.root().join(&mutant.file)).unwrap();
            assert_ne!(mutant.apply(&text).unwrap(), text, "{}", mutant.why);
            let place = mutant.file.as_str();
            assert!(
                ["driver/", KMDF, PROGRAM, "tests/xtask/src/inf/"]
                    .iter()
                    .any(|folder| place.starts_with(folder)),
                "{place} is not what is tested"
            );
        }
    }

    #[test]
    fn every_row_of_the_readme_has_a_mutant_for_one_of_its_tests_or_says_that_it_is_not_proven() {
        let (layout, list) = list();
        let tests = readme::tests(&layout);
        let rows = readme::rows(&layout);
        let mut unnamed: BTreeSet<&str> = rows.iter().map(|row| row.feature.as_str()).collect();
        for mutant in &list.mutant {
            let row = rows.iter().find(|row| row.feature == mutant.row);
            let row = row.unwrap_or_else(|| panic!("the README has no row {}", mutant.row));
            unnamed.remove(row.feature.as_str());
            let proves = match mutant.test().unwrap() {
                Test::Package => row.proof.contains("\"the packaged driver\""),
                Test::EndToEnd { name, .. } => {
                    let name = name.rsplit("::").next().unwrap();
                    assert!(tests.contains(name), "there is no test {name}");
                    row.proof.contains(&format!("`{name}`"))
                }
                Test::Host { target, name, .. } => {
                    let name = name.rsplit("::").next().unwrap();
                    assert!(tests.contains(name), "there is no test {name}");
                    row.proof.contains(&format!("{target}.rs"))
                        || (target.starts_with("loom_") && row.proof.contains("loom"))
                        || row.proof.contains(&format!("`{name}`"))
                }
            };
            assert!(
                proves,
                "{} does not prove \"{}\" in the README",
                mutant.test, mutant.row
            );
        }
        for without in &list.without {
            let row = rows.iter().find(|row| row.feature == without.row);
            let row = row.unwrap_or_else(|| panic!("the README has no row {}", without.row));
            assert!(
                unnamed.remove(row.feature.as_str()),
                "{} has mutants",
                row.feature
            );
            assert!(
                row.is_unproven(),
                "{} does not say that it is not proven",
                row.feature
            );
        }
        assert!(unnamed.is_empty(), "rows without a mutant: {unnamed:#?}");
    }

    #[test]
    fn mutants_are_chosen_by_number_and_by_row() {
        let (_, list) = list();
        assert_eq!(list.choose(&[]).unwrap().len(), list.mutant.len());
        let chosen = list.choose(&["2".to_owned()]).unwrap();
        assert_eq!(chosen.iter().map(|it| it.0).collect::<Vec<_>>(), [2]);
        let chosen = list.choose(&["kill switches".to_owned()]).unwrap();
        assert!(!chosen.is_empty() && chosen.iter().all(|it| it.1.row == "kill switches"));
        assert!(list.choose(&["no such row".to_owned()]).is_err());
    }
}
