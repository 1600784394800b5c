//! `tlsgate stats`: the driver's counters, once or again and again.

mod counters;
mod histogram;
mod text;

use crate::{cli, input, show};
use anyhow::Result;
use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};
use tlsgate::{Driver, protocol::payload::StatisticsReply};

/// Shows them.
pub async fn run(driver: &Driver, options: &cli::Stats) -> Result<()> {
    match options.watch {
        Some(seconds) => {
            let every = Duration::from_secs(seconds.into());
            tokio::select! {
                () = input::ctrl_c() => Ok(()),
                watched = watch(driver, options, every) => watched,
            }
        }
        None if options.json => show::json(&counters::json(&driver.statistics().await?, None)),
        None => show::print(&text::text(&driver.statistics().await?, None)),
    }
}

/// Shows them again and again; on a terminal in the same place.
async fn watch(driver: &Driver, options: &cli::Stats, every: Duration) -> Result<()> {
    let mut clock = tokio::time::interval(every);
    let mut before: Option<(StatisticsReply, Instant)> = None;
    let mut shown = 0;
    let mut left = options.times;
    while left != Some(0) {
        clock.tick().await;
        let now = driver.statistics().await?;
        let taken = Instant::now();
        let since = before.map(|(before, at)| (before, taken - at));
        if options.json {
            show::json_line(&counters::json(&now, since.as_ref()))?;
        } else {
            shown = in_place(&text::text(&now, since.as_ref()), shown)?;
        }
        before = Some((now, taken));
        left = left.map(|left| left - 1);
    }
    Ok(())
}

/// Shows text in place of so many lines shown before, where that can be done; otherwise behind them,
/// with an empty line between. Gives how many lines it has shown.
fn in_place(text: &str, before: usize) -> Result<usize> {
    if before > 0 {
        let back = if std::io::stdout().is_terminal() {
            // To the start of the line so many lines up; then everything below is erased.
            format!("\x1b[{before}F\x1b[J")
        } else {
            "\n".to_owned()
        };
        write!(anstream::stdout().lock(), "{back}")?;
    }
    show::print(text)?;
    Ok(text.lines().count())
}
