//! The text of an INF as sections of lines; windows-driver-docs, install/general-syntax-rules-for-inf-files.
//!
//! Not read, because TlsGate's INF has none: lines that go on after a backslash, names of sections
//! in quotation marks.

use anyhow::{Context, Result, bail, ensure};

/// An INF.
#[derive(Debug)]
pub struct Inf {
    pub sections: Vec<Section>,
}

/// A section. Names of sections and directives are the same in any case.
#[derive(Debug)]
pub struct Section {
    pub name: String,
    pub lines: Vec<Line>,
}

/// `directive = value, value` or `value, value`.
#[derive(Debug)]
pub struct Line {
    /// Nothing in a line without an equals sign.
    pub directive: Option<String>,
    /// Without their quotation marks; tokens are as they were written.
    pub values: Vec<String>,
}

impl Inf {
    pub fn parse(text: &str) -> Result<Self> {
        let mut sections: Vec<Section> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let line = without_comment(line).trim();
            if line.is_empty() {
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                let name = name
                    .strip_suffix(']')
                    .with_context(|| format!("line {number}: the section's name has no end"))?;
                sections.push(Section {
                    name: name.trim().to_owned(),
                    lines: Vec::new(),
                });
                continue;
            }
            let section = sections
                .last_mut()
                .with_context(|| format!("line {number}: in no section"))?;
            section
                .lines
                .push(Line::parse(line).with_context(|| format!("line {number}"))?);
        }
        Ok(Self { sections })
    }

    /// The first section of this name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections
            .iter()
            .find(|section| section.name.eq_ignore_ascii_case(name))
    }

    /// The text of a value, with its tokens replaced by what is in `[Strings]`. Numbers stand for
    /// directories and stay.
    ///
    /// # Errors
    ///
    /// The name of a token that is not there.
    pub fn text(&self, value: &str) -> Result<String, String> {
        let mut text = String::new();
        // Every second part is between two percent signs; an empty one stands for the sign itself.
        for (index, part) in value.split('%').enumerate() {
            if index % 2 == 0 {
                text.push_str(part);
            } else if part.is_empty() {
                text.push('%');
            } else if part.parse::<u32>().is_ok() {
                text.extend(["%", part, "%"]);
            } else {
                let string = self
                    .section("Strings")
                    .and_then(|strings| strings.value(part))
                    .ok_or(part)?;
                text.push_str(string);
            }
        }
        Ok(text)
    }
}

impl Section {
    /// The lines of a directive.
    pub fn directives<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.is(name))
    }

    /// The first value of a directive.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.lines.iter().find(|line| line.is(name))?.value(0)
    }
}

impl Line {
    fn parse(line: &str) -> Result<Self> {
        ensure!(
            line.matches('"').count().is_multiple_of(2),
            "a quotation mark has no partner"
        );
        if line.ends_with('\\') {
            bail!("it goes on in the next line, which is not read here");
        }
        let parts = split(line, '=');
        let (directive, values) = match parts[..] {
            [values] => (None, values),
            [directive, _] => (
                Some(directive.trim().to_owned()),
                &line[directive.len() + 1..],
            ),
            _ => bail!("more than one equals sign"),
        };
        let values = split(values, ',')
            .iter()
            .map(|value| value.trim().trim_matches('"').to_owned())
            .collect();
        Ok(Self { directive, values })
    }

    /// Whether the line has this directive.
    pub fn is(&self, name: &str) -> bool {
        self.directive
            .as_ref()
            .is_some_and(|directive| directive.eq_ignore_ascii_case(name))
    }

    /// A value that is there.
    pub fn value(&self, index: usize) -> Option<&str> {
        let value = self.values.get(index)?;
        (!value.is_empty()).then_some(value)
    }
}

/// Where a character stands outside quotation marks.
fn outside_quotes(text: &str, wanted: char) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    text.char_indices().filter_map(move |(index, character)| {
        quoted ^= character == '"';
        (character == wanted && !quoted).then_some(index)
    })
}

fn without_comment(line: &str) -> &str {
    outside_quotes(line, ';')
        .next()
        .map_or(line, |end| &line[..end])
}

fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for end in outside_quotes(text, separator) {
        parts.push(&text[start..end]);
        start = end + separator.len_utf8();
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inf_is_read_as_windows_reads_it() {
        let inf = Inf::parse(
            "; first\n[Version]\nSignature = \"$WINDOWS NT$\" ; last\n\n[Files]\na.sys,,;none\n\
             [Strings]\nName = \"one; two, three = 100%\"\n",
        )
        .unwrap();
        let version = inf.section("VERSION").unwrap();
        assert_eq!(version.value("signature"), Some("$WINDOWS NT$"));
        let files = &inf.section("Files").unwrap().lines[0];
        assert_eq!(files.directive, None);
        assert_eq!(files.values, ["a.sys", "", ""]);
        assert_eq!(files.value(1), None);
        assert_eq!(
            inf.text("<%name%> %13%\\x %%").unwrap(),
            "<one; two, three = 100%> %13%\\x %"
        );
        assert_eq!(inf.text("%other%"), Err("other".to_owned()));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in [
            "a = b\n",
            "[Version\n",
            "[Version]\na = \"b\n",
            "[Version]\na = b \\\n",
            "[Version]\na = b = c\n",
        ] {
            assert!(Inf::parse(text).is_err(), "{text}");
        }
    }
}
