//! How the program shows things: colours on a terminal, bars on long work, JSON for scripts.

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::{fmt::Display, io::Write, time::Duration};

/// Headings.
pub const HEADING: Style = Style::new().bold();
/// What is as it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What is not.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What to do, and what else deserves a look.
pub const NOTE: Style = AnsiColor::Yellow.on_default();

/// Text in a style. Print it with the macros of `anstream`, which take the style away where it does not
/// belong: in files and pipes, and under `NO_COLOR`.
pub fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Something that takes a while, on the standard error; nothing is shown unless that is a terminal. It
/// goes away when it is dropped.
pub struct Working(ProgressBar);

/// How often it moves.
const TICK: Duration = Duration::from_millis(100);

impl Working {
    /// Shows this, with the time it has taken.
    pub fn on(what: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A value as JSON for people and scripts, on the standard output.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// A value as one line of JSON, on the standard output.
pub fn json_line(value: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string(value)?)
}

/// A line on the standard output, now.
pub fn print(line: &str) -> anyhow::Result<()> {
    let mut output = anstream::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()?;
    Ok(())
}

/// Text of a stranger's, without what could steer a terminal.
pub fn harmless(text: &str) -> String {
    let harmless = |char: char| if char.is_control() { '\u{FFFD}' } else { char };
    text.chars().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_s_text_steers_no_terminal() {
        assert_eq!(
            harmless("CN=a\u{1b}[2Jb\r\n"),
            "CN=a\u{FFFD}[2Jb\u{FFFD}\u{FFFD}"
        );
        assert_eq!(harmless("CN=Zoë"), "CN=Zoë");
    }
}
