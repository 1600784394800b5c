//! `tests/bench/instructions.toml`: the counts of an earlier commit, and why some of them went up.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::results::{Bound, Row};
use crate::layout::Layout;

const FILE: &str = "tests/bench/instructions.toml";

/// What stands above the table.
const HEAD: &str = "\
# Instructions that one request takes in driver/core and driver/protocol, as callgrind counts them in
# tests/bench/instructions. `cargo xtask bench` and `cargo xtask test` fail when one is up by more than 2 %.
#
# `cargo xtask bench --bless instructions` writes this file anew; where a count is up by more than that, it wants
# the reason: `--note \"what the instructions are for\"`.

";

/// What may come on top without a reason.
const MORE: f64 = 1.02;

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The compiler that the program was built with.
    pub rustc: String,
    #[serde(default)]
    pub request: Vec<Request>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub note: Vec<Note>,
}

/// What a request took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub name: String,
    pub instructions: u64,
}

/// Why a request takes more than it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    pub request: String,
    pub from: u64,
    pub to: u64,
    pub why: String,
}

impl Kept {
    /// Reads the file; where there is none, nothing is kept.
    ///
    /// # Errors
    ///
    /// It is not what it should be.
    pub fn read(layout: &Layout) -> Result<Self> {
        let file = layout.root().join(FILE);
        if !file.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(file)?;
        toml::from_str(&text).context(FILE)
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write(&self, layout: &Layout) -> Result<()> {
        let text = toml::to_string(self)?;
        fs::write(layout.root().join(FILE), format!("{HEAD}{text}")).context(FILE)
    }

    /// The counts as figures. They have bounds if the same compiler made both.
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    pub fn rows(&self, counts: &[(String, u64)], rustc: &str) -> Vec<Row> {
        let row = |(name, count): &(String, u64)| {
            let before = self.before(name).filter(|_| self.rustc == rustc);
            Row {
                name: format!("driver/core and driver/protocol, {name}"),
                value: *count as f64,
                unit: "instructions".to_owned(),
                spread: None,
                bound: before.map(|before| Bound::AtMost((before as f64 * MORE).floor())),
            }
        };
        counts.iter().map(row).collect()
    }

    /// Whether every count is of a request that the file has, and the other way round.
    ///
    /// # Errors
    ///
    /// One is not.
    pub fn is_complete(&self, counts: &[(String, u64)]) -> Result<()> {
        let named = counts.iter().map(|(name, _)| name);
        let kept = self.request.iter().map(|request| &request.name);
        ensure!(
            named.eq(kept),
            "{FILE} has other requests than are counted: `cargo xtask bench --bless instructions`"
        );
        Ok(())
    }

    /// Requests that take less than they took: blessed, they cannot grow back without a note.
    pub fn fewer<'a>(&self, counts: &'a [(String, u64)], rustc: &str) -> Vec<&'a str> {
        let is_less = |(name, count): &&(String, u64)| {
            let before = self.before(name).filter(|_| self.rustc == rustc);
            before.is_some_and(|before| *count < before)
        };
        let fewer = counts.iter().filter(is_less);
        fewer.map(|(name, _)| name.as_str()).collect()
    }

    /// The file for these counts.
    ///
    /// # Errors
    ///
    /// A count is up, and there is no note.
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    pub fn renewed(
        &self,
        counts: &[(String, u64)],
        rustc: &str,
        why: Option<&str>,
    ) -> Result<Self> {
        let mut new = Self {
            rustc: rustc.to_owned(),
            request: Vec::new(),
            note: self.note.clone(),
        };
        for (name, count) in counts {
            let before = self.before(name).filter(|_| self.rustc == rustc);
            if let Some(from) = before.filter(|from| *count as f64 > *from as f64 * MORE) {
                let why = why.with_context(|| {
                    format!("{name}: {from} instructions, now {count}: say why with --note")
                })?;
                new.note.push(Note {
                    request: name.clone(),
                    from,
                    to: *count,
                    why: why.to_owned(),
                });
            }
            new.request.push(Request {
                name: name.clone(),
                instructions: *count,
            });
        }
        Ok(new)
    }

    fn before(&self, name: &str) -> Option<u64> {
        let request = self.request.iter().find(|request| request.name == name)?;
        Some(request.instructions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(instructions: u64) -> Kept {
        let request = Request {
            name: "leg".to_owned(),
            instructions,
        };
        Kept {
            rustc: "rustc 1".to_owned(),
            request: vec![request],
            note: Vec::new(),
        }
    }

    fn counted(count: u64) -> Vec<(String, u64)> {
        vec![("leg".to_owned(), count)]
    }

    #[test]
    fn two_percent_more_are_borne() {
        let holds = |count, rustc| kept(1000).rows(&counted(count), rustc)[0].holds();
        assert_eq!(holds(900, "rustc 1"), Some(true));
        assert_eq!(holds(1020, "rustc 1"), Some(true));
        assert_eq!(holds(1021, "rustc 1"), Some(false));
        assert_eq!(holds(2000, "rustc 2"), None, "another compiler's");
        assert_eq!(kept(1000).fewer(&counted(999), "rustc 1"), ["leg"]);
        assert!(kept(1000).fewer(&counted(1000), "rustc 1").is_empty());
    }

    #[test]
    fn more_than_that_wants_a_note_which_stays() {
        let before = kept(1000);
        assert!(before.renewed(&counted(1021), "rustc 1", None).is_err());
        let after = before.renewed(&counted(1021), "rustc 1", Some("it does more"));
        let after = after.unwrap();
        assert_eq!((after.note[0].from, after.note[0].to), (1000, 1021));
        let later = after.renewed(&counted(800), "rustc 1", None).unwrap();
        assert_eq!((later.note.len(), later.request[0].instructions), (1, 800));
        let text = toml::to_string(&later).unwrap();
        assert_eq!(toml::from_str::<Kept>(&text).unwrap(), later);
    }

    #[test]
    fn a_request_that_is_new_must_be_written_down() {
        let mut counts = counted(1);
        assert!(kept(1000).is_complete(&counts).is_ok());
        counts.push(("another".to_owned(), 1));
        assert!(kept(1000).is_complete(&counts).is_err());
    }

    #[test]
    fn the_checked_in_file_is_in_order() {
        let layout = Layout::find().unwrap();
        let kept = Kept::read(&layout).unwrap();
        assert!(kept.rustc.starts_with("rustc ") && kept.request.len() >= 4);
        for note in &kept.note {
            assert!(note.to > note.from && note.why.len() > 10, "{note:?}");
            let is_known = kept.request.iter().any(|it| it.name == note.request);
            assert!(is_known, "{note:?}");
        }
    }
}
