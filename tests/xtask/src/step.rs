//! What a person sees: each step with its name, its progress and its time.

use std::{
    cell::Cell,
    io::IsTerminal,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

/// A run, made of steps.
pub struct Steps {
    start: Instant,
    count: Cell<u32>,
}

/// The step that is running; a long one reports what it is doing.
pub struct Step {
    bar: ProgressBar,
}

impl Steps {
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
            count: Cell::new(0),
        }
    }

    /// Runs one step and prints its time.
    pub fn step<T>(&self, name: &str, work: impl FnOnce(&Step) -> Result<T>) -> Result<T> {
        let start = Instant::now();
        self.count.set(self.count.get() + 1);
        let name = format!("{}. {name}", self.count.get());
        let step = Step::begin(&name);
        let result = work(&step);
        step.bar.finish_and_clear();
        match &result {
            Ok(_) => println!("{:>9}  {name}", seconds(start.elapsed())),
            Err(_) => println!("{:>9}  {name}: failed", seconds(start.elapsed())),
        }
        result.context(name)
    }

    /// Runs one step whose own output is shown as it comes.
    pub fn loud<T>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("           {name}:");
        self.step(name, |step| {
            step.bar.finish_and_clear();
            work()
        })
    }

    /// Prints the time of all.
    pub fn finish(&self) {
        println!("{:>9}  in all", seconds(self.start.elapsed()));
    }
}

impl Step {
    fn begin(name: &str) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        bar.set_style(
            ProgressStyle::with_template("{elapsed:>9}  {prefix} {spinner} {wide_msg:.dim}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar }
    }

    /// Shows what the step is at.
    pub fn progress(&self, message: &str) {
        self.bar.set_message(message.to_owned());
    }

    /// Prints a line that stays.
    pub fn note(&self, line: &str) {
        self.bar.suspend(|| println!("           {line}"));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
