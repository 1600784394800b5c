//! Runs cases one after another, each with a limit, and sees that each leaves nothing.

use super::{
    cases::{Case, is_back},
    report::{Entry, Outcome, Report},
    site::{Handle, Site},
};
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Runs the cases. What becomes of each goes to the standard output, a line each, and to the report,
/// which is on the disk at `path` whenever a case runs.
pub async fn run(
    site: &Site,
    cases: &[&Case],
    limit: Duration,
    report: &mut Report,
    path: Option<&Path>,
) -> Result<()> {
    let watcher = site.handle()?;
    let progress = progress(cases.len())?;
    for case in cases {
        progress.set_message(case.name);
        report.cases.push(Entry {
            name: case.name.to_owned(),
            outcome: Outcome::Running,
            milliseconds: 0,
            message: String::new(),
        });
        write(report, path)?;
        let entry = one(site, &watcher, case, limit).await;
        progress.suspend(|| println!("{}", line(&entry)));
        progress.inc(1);
        report.cases.pop();
        report.cases.push(entry);
    }
    progress.finish_and_clear();
    write(report, path)
}

fn write(report: &Report, path: Option<&Path>) -> Result<()> {
    path.map_or(Ok(()), |path| report.write(path))
}

async fn one(site: &Site, watcher: &Handle, case: &Case, limit: Duration) -> Entry {
    let started = Instant::now();
    let ran = tokio::time::timeout(limit, clean(site, watcher, case)).await;
    let (outcome, message) = match ran {
        Ok(Ok(remark)) => (Outcome::Passed, remark),
        Ok(Err(error)) => (Outcome::Failed, format!("{error:#}")),
        Err(_) => (
            Outcome::TimedOut,
            format!("it has not ended after {} s", limit.as_secs()),
        ),
    };
    Entry {
        name: case.name.to_owned(),
        outcome,
        milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        message,
    }
}

/// The case, and then the driver without anything of it.
async fn clean(site: &Site, watcher: &Handle, case: &Case) -> Result<String> {
    let before = watcher.statistics().await?;
    let remark = (case.run)(site).await?;
    watcher
        .settle("what the case has left", |now| is_back(now, &before))
        .await
        .context("it passed, and left something")?;
    Ok(remark)
}

/// On a terminal: how far it is, and with what. Elsewhere nothing.
fn progress(cases: usize) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg} ({elapsed})")?;
    let progress = ProgressBar::new(u64::try_from(cases)?).with_style(style);
    progress.enable_steady_tick(Duration::from_millis(200));
    Ok(progress)
}

fn line(entry: &Entry) -> String {
    let outcome = match entry.outcome {
        Outcome::Running => "running",
        Outcome::Passed => "ok",
        Outcome::Failed => "FAILED",
        Outcome::TimedOut => "TIMED OUT",
    };
    let line = format!(
        "{outcome:<9} {:<24} {:>6} ms  {}",
        entry.name, entry.milliseconds, entry.message
    );
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_cannot_be_taken_for_a_pass() {
        let entry = |outcome| Entry {
            name: "alpn".into(),
            outcome,
            milliseconds: 12,
            message: "why".into(),
        };
        let passed = line(&entry(Outcome::Passed));
        assert_eq!(passed, "ok        alpn                         12 ms  why");
        assert!(line(&entry(Outcome::Failed)).starts_with("FAILED    alpn "));
        assert!(line(&entry(Outcome::TimedOut)).starts_with("TIMED OUT alpn "));
    }
}
