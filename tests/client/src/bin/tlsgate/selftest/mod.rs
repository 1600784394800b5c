//! `tlsgate selftest`: the conformance run. Every case uses the driver through the library against
//! rustls, in user mode in this process, and says what it found.

mod cases;
mod memory;
pub mod peer;
pub mod pki;
mod report;
mod runner;
pub mod site;
#[cfg(windows)]
pub mod stored;

pub use report::Environment;

use crate::exit::{Exit, Failure};
use anyhow::Result;
use cases::Case;
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  tlsgate selftest --report C:\\report.json     everything, in about a minute
  tlsgate selftest server-tls13 data-server    these cases only
  tlsgate selftest --list                      what there is

Exit codes: 0 every case passed, 1 one did not; the others are those of `tlsgate --help`.";

/// The command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Selftest {
    /// The cases to run [default: all].
    #[arg(value_name = "CASE")]
    pub cases: Vec<String>,
    /// Tell what cases there are, and run none.
    #[arg(long)]
    pub list: bool,
    /// With --list: as JSON.
    #[arg(long, requires = "list")]
    pub json: bool,
    /// Write what was found to this file, as JSON. After a crash of the machine it names the case
    /// that was running.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// How long a case may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..))]
    pub timeout: u16,
    /// Let the private keys of the run's certificates be exported. Windows uses a key in place and
    /// needs it not; the project's lab reads keys out of the store and does.
    #[arg(long)]
    pub exportable_keys: bool,
}

/// The cases of these names, in the order of [`cases::ALL`]; all when there are none.
fn chosen(names: &[String]) -> Result<Vec<&'static Case>> {
    let unknown = |name: &&String| cases::ALL.iter().all(|case| case.name != **name);
    if let Some(name) = names.iter().find(unknown) {
        let message =
            format!("there is no case {name}; `tlsgate selftest --list` tells which there are");
        return Err(Failure::new(Exit::Usage, message).into());
    }
    let wanted = |case: &&Case| names.is_empty() || names.iter().any(|name| name == case.name);
    Ok(cases::ALL.iter().filter(wanted).collect())
}

/// What `--list` prints.
fn list(json: bool) -> Result<String> {
    if json {
        let all = cases::ALL.iter();
        let all: Vec<_> = all
            .map(|case| serde_json::json!({ "name": case.name, "about": case.about }))
            .collect();
        return Ok(serde_json::to_string_pretty(&all)?);
    }
    let lines = cases::ALL.iter();
    let lines: Vec<String> = lines
        .map(|case| format!("{:<24} {}", case.name, case.about))
        .collect();
    Ok(lines.join("\n"))
}

#[cfg(windows)]
pub use windows::run;

#[cfg(windows)]
mod windows {
    use super::{
        Selftest, chosen, list,
        pki::Pki,
        report::Report,
        runner,
        site::{Handle, Site},
        stored::Stored,
    };
    use crate::environment;
    use anyhow::{Context, Result, bail};
    use std::{sync::Arc, time::Duration};
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};
    use tlsgate::{Device, Error};

    /// One more handle of the driver.
    fn handle() -> Result<Handle, Error> {
        Ok(Handle::new(Arc::new(Device::open()?)))
    }

    /// Runs what the command line asks for.
    pub async fn run(options: &Selftest) -> Result<()> {
        if options.list {
            println!("{}", list(options.json)?);
            return Ok(());
        }
        let cases = chosen(&options.cases)?;
        let mut report = Report {
            format: 1,
            began: OffsetDateTime::now_utc().format(&Rfc3339)?,
            environment: environment::look(&handle()?.driver).await?,
            cases: Vec::new(),
        };
        println!("{}", report.environment.line());
        eprintln!("making certificates");
        let pki = Pki::new()?;
        // From here on Ctrl-C does not end the program: the certificates would stay.
        let mut stopped = tokio::signal::windows::ctrl_c().context("cannot wait for Ctrl-C")?;
        let stored = Stored::put(&pki, options.exportable_keys)?;
        let site = Site::new(pki, Box::new(handle));
        let limit = Duration::from_secs(options.timeout.into());
        let path = options.report.as_deref();
        let ran = tokio::select! {
            ran = runner::run(&site, &cases, limit, &mut report, path) => ran,
            _ = stopped.recv() => bail!("stopped by Ctrl-C"),
        };
        ran?;
        stored.remove()?;
        report.environment = environment::look(&handle()?.driver).await?;
        if let Some(path) = path {
            report.write(path)?;
        }
        let failed = report.failed();
        if failed.is_empty() {
            println!("all {} cases passed", report.cases.len());
            return Ok(());
        }
        bail!(
            "{} of {} cases did not pass: {}",
            failed.len(),
            report.cases.len(),
            failed.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_chosen_by_name_in_the_order_of_a_run() {
        assert_eq!(chosen(&[]).unwrap().len(), cases::ALL.len());
        let names = ["data-server", "version"].map(str::to_owned);
        let names: Vec<_> = chosen(&names).unwrap().iter().map(|it| it.name).collect();
        assert_eq!(names, ["version", "data-server"]);
        let error = chosen(&["nonsense".to_owned()]).err().unwrap().to_string();
        assert!(
            error.contains("nonsense") && error.contains("--list"),
            "{error}"
        );
    }

    #[test]
    fn the_list_has_every_case() {
        let json: Vec<serde_json::Value> = serde_json::from_str(&list(true).unwrap()).unwrap();
        let text = list(false).unwrap();
        assert_eq!(json.len(), cases::ALL.len());
        assert_eq!(text.lines().count(), cases::ALL.len());
        for (case, json) in cases::ALL.iter().zip(json) {
            assert_eq!(json["name"], case.name);
            assert!(text.contains(case.about));
        }
    }
}
