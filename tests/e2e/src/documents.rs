//! The commands in the documents, for the tests that run them or check them.
//!
//! A block of code is commands when it is indented, or fenced as `sh`, `powershell` or `bat`; a command is
//! also what stands in a line of text or in another block, and begins with `cargo`, `tlsgate` or a script.
//! Otherwise those blocks are pictures, output or source.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The kinds of fenced blocks that hold commands.
const SHELLS: [&str; 3] = ["sh", "powershell", "bat"];

/// What commands begin with, wherever they stand.
const PROGRAMS: [&str; 2] = ["cargo", "tlsgate"];

/// Folders without documents of this project.
const OTHERS: [&str; 2] = ["target", "node_modules"];

/// A command of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The document, from the root on.
    pub document: String,
    /// The heading that it stands under.
    pub section: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The kind of its block; empty for an indented one, `text` for a command in a line of text.
    pub shell: String,
    /// What is typed: without prompt and comment.
    pub text: String,
}

impl Command {
    /// Its words: without what it sets in the environment, and with the program by its name alone.
    #[must_use]
    pub fn words(&self) -> Vec<&str> {
        words(&self.text)
    }
}

/// Every document's commands.
///
/// # Errors
///
/// A file or folder cannot be read.
pub fn all(root: &Path) -> io::Result<Vec<Command>> {
    let mut commands = Vec::new();
    for (name, text) in texts(root)? {
        commands.extend(of(&name, &text));
    }
    Ok(commands)
}

/// Every document: its place, from the root on, and its text.
///
/// # Errors
///
/// A file or folder cannot be read.
pub fn texts(root: &Path) -> io::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    find(root, &mut files)?;
    files.sort();
    files
        .iter()
        .map(|file| {
            let name = file.strip_prefix(root).unwrap_or(file);
            let name = name.to_string_lossy().replace('\\', "/");
            Ok((name, fs::read_to_string(file)?))
        })
        .collect()
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            if !name.starts_with('.') && !OTHERS.contains(&&*name) {
                find(&path, files)?;
            }
        } else if path.extension().is_some_and(|kind| kind == "md") {
            files.push(path);
        }
    }
    Ok(())
}

/// Where the lines of a document are.
enum Place {
    Text,
    List,
    Indented,
    Fenced(String),
}

/// The commands of one document.
#[must_use]
pub fn of(document: &str, text: &str) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut place = Place::Text;
    let mut section = String::new();
    let mut was_blank = true;
    for (index, line) in text.lines().enumerate() {
        let mut found = |shell: &str, text: &str| {
            let text = typed(text);
            if !text.is_empty() {
                commands.push(Command {
                    document: document.to_owned(),
                    section: section.clone(),
                    line: index + 1,
                    shell: shell.to_owned(),
                    text: text.to_owned(),
                });
            }
        };
        let trimmed = line.trim();
        let indent = line.len() - line.trim_start().len();
        if let Place::Fenced(shell) = &place {
            if trimmed.starts_with("```") {
                place = Place::Text;
            } else if SHELLS.contains(&shell.as_str()) || is_command(typed(trimmed)) {
                found(shell, trimmed);
            }
            continue;
        }
        let code = match place {
            Place::Indented => 4,
            // Deeper than the text of an item.
            Place::List if was_blank => 7,
            Place::Text if was_blank => 4,
            _ => usize::MAX,
        };
        if let Some(shell) = trimmed.strip_prefix("```") {
            place = Place::Fenced(shell.trim().to_owned());
        } else if trimmed.is_empty() {
            was_blank = true;
            continue;
        } else if indent >= code {
            found("", trimmed);
            if !matches!(place, Place::List) {
                place = Place::Indented;
            }
            continue;
        } else {
            let is_item = trimmed.starts_with("* ")
                || trimmed.starts_with("- ")
                || trimmed.split_once(". ").is_some_and(|(number, _)| {
                    !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
                });
            if is_item {
                place = Place::List;
            } else if indent == 0 {
                place = Place::Text;
            }
            for code in trimmed.split('`').skip(1).step_by(2) {
                if is_command(code) {
                    found("text", code);
                }
            }
        }
        was_blank = false;
        if let Some(heading) = line.strip_prefix('#') {
            heading
                .trim_start_matches('#')
                .trim()
                .clone_into(&mut section);
        }
    }
    commands
}

/// Whether it begins with a program of ours and says more than its name.
fn is_command(text: &str) -> bool {
    let words = words(text);
    words.len() > 1 && (PROGRAMS.contains(&words[0]) || is_script(words[0]))
}

/// Whether this is a script of `PowerShell`.
#[must_use]
pub fn is_script(program: &str) -> bool {
    Path::new(program)
        .extension()
        .is_some_and(|kind| kind == "ps1")
}

fn words(text: &str) -> Vec<&str> {
    let is_set = |word: &&str| word.contains('=') && !word.starts_with('-');
    let mut words: Vec<_> = text.split_whitespace().skip_while(is_set).collect();
    if let Some(program) = words.first_mut() {
        let name = program.rsplit(['\\', '/']).next().unwrap_or_default();
        *program = name.strip_suffix(".exe").unwrap_or(name);
    }
    words
}

/// A line without prompt and comment.
fn typed(line: &str) -> &str {
    let line = ["PS> ", "$ ", "> "]
        .iter()
        .find_map(|prompt| line.strip_prefix(prompt))
        .unwrap_or(line);
    let line = match line.find("# ") {
        Some(0) => "",
        Some(at) if line[..at].ends_with(' ') => &line[..at],
        _ => line,
    };
    line.trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_wherever_they_stand() {
        let text = "\
# Top

    cargo one      # why
    # a remark

Say `cargo two` or `cargo`, not `other three`, or `.\\three.ps1 -A`.

```powershell
PS> .\\four.ps1 -A b
```

```
a picture
cargo five
```

## Below

1. An item

   ```sh
   $ A=b ./six.exe seven
   ```

        eight
2. Another
   goes on with

   more text, not code.
";
        let commands = of("file", text);
        assert_eq!(commands[5].words(), ["six", "seven"]);
        let found: Vec<_> = commands
            .into_iter()
            .map(|it| (it.section, it.shell, it.text))
            .collect();
        let expected = [
            ("Top", "", "cargo one"),
            ("Top", "text", "cargo two"),
            ("Top", "text", ".\\three.ps1 -A"),
            ("Top", "powershell", ".\\four.ps1 -A b"),
            ("Top", "", "cargo five"),
            ("Below", "sh", "A=b ./six.exe seven"),
            ("Below", "", "eight"),
        ];
        assert_eq!(
            found,
            expected.map(|(section, shell, text)| (section.into(), shell.into(), text.into()))
        );
    }
}
