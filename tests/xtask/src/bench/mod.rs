//! `cargo xtask bench`: the driver's speed and size, with what each figure must keep to.
//!
//! Its parts measure; here they are run, and the report is made of what they give:
//! `target/reports/bench.json`, `target/reports/bench.html`, and a table.

mod callgrind;
mod changes;
mod end_to_end;
mod html;
mod in_process;
mod instructions;
mod kept;
mod plot;
mod results;
mod table;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::{
    build::{self, Tools},
    layout::Layout,
    report,
    step::Steps,
};
use results::{Results, Row};

pub use instructions::check as check_instructions;

/// What is to be measured.
#[derive(Debug, clap::Args)]
pub struct Order {
    /// A short run: less sure, and with fewer sessions.
    #[arg(long)]
    quick: bool,
    /// Take the instructions that are counted as those that later runs are held against:
    /// tests/bench/instructions.toml.
    #[arg(long)]
    bless: bool,
    /// Why a count is up by more than 2 %: with --bless, kept beside it.
    #[arg(long, value_name = "WHY", requires = "bless")]
    note: Option<String>,
    /// Only what has one of these words in its name: `instructions`, `end-to-end`, or scenarios of
    /// tests/bench.
    words: Vec<String>,
}

impl Order {
    /// The command that asks for it.
    fn command(&self) -> String {
        let quick = self.quick.then_some("--quick");
        let words = self.words.iter().map(String::as_str);
        ["cargo", "xtask", "bench"]
            .into_iter()
            .chain(quick)
            .chain(words)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Whether one of the words asks for a part, or nobody asks for anything.
    fn wants(&self, part: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| word == part)
    }

    /// The words that name no part: they are scenarios'.
    fn scenarios(&self) -> Vec<&str> {
        let words = self.words.iter().map(String::as_str);
        words.filter(|word| !PARTS.contains(word)).collect()
    }
}

/// The parts that a word can name. The scenarios in the driver's process have words of their own.
const PARTS: [&str; 2] = [instructions::NAME, end_to_end::NAME];

/// Measures, and writes the report.
///
/// # Errors
///
/// Something could not be measured, or a figure does not keep to its bound.
pub fn run(layout: &Layout, steps: &Steps, order: &Order) -> Result<()> {
    let tools = Tools::ready(layout, steps)?;
    let mut all = Results::default();
    let mut ended = Ok(());
    if order.wants(instructions::NAME) {
        all.extend(steps.step("count instructions", |step| {
            instructions::measure(layout, step, order)
        })?);
    }
    let scenarios = order.scenarios();
    let in_process = order.words.is_empty() || !scenarios.is_empty();
    if in_process || order.wants(end_to_end::NAME) {
        build::all(layout, &tools, steps)?;
        build::bench_stand_ins(layout, &tools, steps)?;
    }
    if in_process {
        let results;
        (results, ended) = in_process::measure(layout, steps, order.quick, &scenarios)?;
        all.extend(results);
    }
    if order.wants(end_to_end::NAME) {
        all.extend(end_to_end::measure(layout, steps, order.quick)?);
    }
    steps.step("write the report", |_| write(layout, order, &all))?;
    print!("{}", table::of(&all.rows));
    println!("target/reports/bench.json, target/reports/bench.html");
    // What is missing is told after what there is.
    ended?;
    judge(&all.rows)
}

fn write(layout: &Layout, order: &Order, all: &Results) -> Result<()> {
    let rows: Vec<_> = all.rows.iter().map(Row::judged).collect();
    let command = order.command();
    let changes = changes::read(layout)?;
    let body = json!({
        "rows": rows,
        "plots": all.plots,
        "notes": all.notes,
        "changes": changes,
    });
    report::write(layout, "bench", &command, &body)?;
    html::write(layout, &command, all, &changes)
}

/// Every figure with a bound keeps to it.
fn judge(rows: &[Row]) -> Result<()> {
    ensure!(!rows.is_empty(), "nothing was measured");
    let broken: Vec<_> = rows
        .iter()
        .filter(|row| row.holds() == Some(false))
        .map(table::line)
        .collect();
    ensure!(
        broken.is_empty(),
        "{} of {} figures do not keep to their bounds:\n{}",
        broken.len(),
        rows.len(),
        broken.join("\n")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::Bound;

    #[test]
    fn a_figure_beyond_its_bound_fails_the_run() {
        let row = |value, bound| Row {
            name: "x".to_owned(),
            value,
            unit: String::new(),
            spread: None,
            bound,
        };
        assert!(judge(&[]).is_err(), "nothing");
        assert!(judge(&[row(1.0, None)]).is_ok());
        assert!(judge(&[row(1.0, Some(Bound::AtMost(1.0)))]).is_ok());
        assert!(judge(&[row(1.0, None), row(1.1, Some(Bound::AtMost(1.0)))]).is_err());
        assert!(judge(&[row(0.9, Some(Bound::AtLeast(1.0)))]).is_err());
        assert!(judge(&[row(f64::NAN, Some(Bound::AtMost(1.0)))]).is_err());
    }

    #[test]
    fn words_name_parts_or_scenarios() {
        let order = |words: &[&str]| Order {
            quick: true,
            bless: false,
            note: None,
            words: words.iter().map(ToString::to_string).collect(),
        };
        let all = order(&[]);
        assert!(PARTS.iter().all(|part| all.wants(part)) && all.scenarios().is_empty());
        let some = order(&["flood", "end-to-end"]);
        assert!(some.wants("end-to-end") && !some.wants("instructions"));
        assert_eq!(some.scenarios(), ["flood"]);
        assert_eq!(some.command(), "cargo xtask bench --quick flood end-to-end");
    }
}
