//! Instructions that a request takes in the driver's policy and its decoder, held against an earlier commit's.

use anyhow::{Result, ensure};

use super::{
    Order, callgrind,
    kept::Kept,
    results::{Results, Row},
    table,
};
use crate::{layout::Layout, step::Step};

/// What a word on the command line calls this part.
pub const NAME: &str = "instructions";

/// Counts, and writes the counts down where that was asked for.
///
/// # Errors
///
/// They cannot be counted, or not be blessed without a note.
pub fn measure(layout: &Layout, step: &Step, order: &Order) -> Result<Results> {
    let counts = callgrind::count_all(layout, step)?;
    let rustc = callgrind::compiler()?;
    let mut kept = Kept::read(layout)?;
    if order.bless {
        kept = kept.renewed(&counts, &rustc, order.note.as_deref())?;
        kept.write(layout)?;
    }
    kept.is_complete(&counts)?;
    let mut notes = vec![format!(
        "Instructions: tests/bench/instructions makes the calls of driver/core and driver/protocol that the \
         driver's rim makes for one request of a server, built for Linux with the driver's release profile by \
         {rustc}; callgrind counts them, twice, exactly. No kernel, no engine and no copies of bytes are in it. \
         The bound is 2 % above the count of an earlier commit (tests/bench/instructions.toml)."
    )];
    if kept.rustc != rustc {
        notes.push(differs(&kept, &rustc));
    }
    for note in &kept.note {
        notes.push(format!(
            "Instructions, {}: {} became {}: {}.",
            note.request, note.from, note.to, note.why
        ));
    }
    Ok(Results {
        rows: kept.rows(&counts, &rustc),
        plots: Vec::new(),
        notes,
    })
}

/// The step of `cargo xtask test`.
///
/// # Errors
///
/// A count is up by more than 2 %.
pub fn check(layout: &Layout, step: &Step) -> Result<()> {
    let counts = callgrind::count_all(layout, step)?;
    let rustc = callgrind::compiler()?;
    let kept = Kept::read(layout)?;
    kept.is_complete(&counts)?;
    if kept.rustc != rustc {
        step.note(&differs(&kept, &rustc));
    }
    let rows = kept.rows(&counts, &rustc);
    let more: Vec<_> = rows
        .iter()
        .filter(|row| row.holds() == Some(false))
        .collect();
    ensure!(
        more.is_empty(),
        "{}\nif there is a reason: `cargo xtask bench --bless --note WHY instructions`",
        more.into_iter()
            .map(table::line)
            .collect::<Vec<_>>()
            .join("\n")
    );
    step.note(&rows.iter().map(short).collect::<Vec<_>>().join(", "));
    let fewer = kept.fewer(&counts, &rustc);
    if !fewer.is_empty() {
        step.note(&format!(
            "fewer than before ({}): `cargo xtask bench --bless instructions`",
            fewer.join("; ")
        ));
    }
    Ok(())
}

fn differs(kept: &Kept, rustc: &str) -> String {
    format!(
        "Instructions: counted with {rustc}, kept with {}: they are not compared.",
        kept.rustc
    )
}

fn short(row: &Row) -> String {
    let (_, request) = row.name.split_once(", ").unwrap_or(("", &row.name));
    format!("{request}: {}", table::number(row.value))
}
