//! The scenarios of `tlsgate-bench`, in the process that the packaged driver is loaded in.
//!
//! The machine has the stand-ins that measure (`build::bench_stand_ins` of `tests/xtask`): costly checks are off in
//! them, the driver is the one that ships. `TLSGATE_BENCH_SCENARIOS` says which: names with commas in between, or
//! `all`; `TLSGATE_BENCH_EFFORT` is an `Effort` as JSON.

#[allow(dead_code, reason = "what the other tests need is there as well")]
#[path = "../stream/pki.rs"]
mod pki;

use anyhow::{Context, Result, bail, ensure};
use pki::{Kind, Pki, Purpose};
use serde::Serialize;
use std::{
    env, fs,
    time::{Duration, Instant},
};
use tlsgate_bench::{Effort, Results, SCENARIOS, Site};
use tlsgate_e2e::{Lab, report};
use tlsgate_lab_control::kmdf::{self, Answer, Question};
use tlsgate_lab_machine::Parameter;

const WANTED: &str = "TLSGATE_BENCH_SCENARIOS";
const EFFORT: &str = "TLSGATE_BENCH_EFFORT";

/// The driver's service, whose Parameters key it reads when it is started.
const SERVICE: &str = "TlsGate";

/// What is set for the driver: a handle may have as many sessions as the driver, so that 100,000 fit.
const PARAMETERS: [(&str, Parameter); 1] = [("SessionsPerHandle", Parameter::Number(131_072))];

/// How long a scenario may take.
const LIMIT: Duration = Duration::from_mins(20);

/// What came of all scenarios.
#[derive(Default, Serialize)]
struct Report {
    tried: usize,
    failed: usize,
    seconds: u64,
    effort: Effort,
    scenarios: Vec<Ran>,
    #[serde(flatten)]
    results: Results,
}

/// What came of one.
#[derive(Serialize)]
struct Ran {
    name: String,
    seconds: u64,
    /// Why it has no results.
    error: Option<String>,
}

#[test]
fn the_driver_is_measured_in_its_own_process() -> Result<()> {
    let Ok(wanted) = env::var(WANTED) else {
        println!("not asked for: {WANTED} is not set");
        return Ok(());
    };
    let effort = match env::var(EFFORT) {
        Ok(json) => serde_json::from_str(&json).with_context(|| EFFORT)?,
        Err(_) => Effort::default(),
    };
    let names: Vec<&str> = if wanted == "all" {
        SCENARIOS.iter().map(|scenario| scenario.name).collect()
    } else {
        wanted.split(',').collect()
    };
    let lab = Lab::start_measuring(&mut |_| {})?;
    let site = site(&lab)?;
    restart(&lab)?;
    let mut report = Report {
        effort,
        ..Report::default()
    };
    let began = Instant::now();
    for name in names {
        let began_one = Instant::now();
        let ran = run(&lab, name, &site, effort);
        let seconds = began_one.elapsed().as_secs();
        let error = ran.as_ref().err().map(|error| format!("{error:#}"));
        println!(
            "{name}, {seconds} s: {}",
            error.as_deref().unwrap_or("done")
        );
        report.tried += 1;
        report.failed += usize::from(error.is_some());
        report.seconds = began.elapsed().as_secs();
        report.scenarios.push(Ran {
            name: name.to_owned(),
            seconds,
            error,
        });
        if let Ok(results) = ran {
            for row in &results.rows {
                println!("    {}: {} {}", row.name, row.value, row.unit);
            }
            report.results.extend(results);
        }
        self::report::give(&report)?;
        lab.machine().check()?;
    }
    lab.finish()?;
    let failed = report.scenarios.iter().filter_map(|ran| {
        let error = ran.error.as_ref()?;
        Some(format!("{}: {error}", ran.name))
    });
    let failed: Vec<String> = failed.collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

fn run(lab: &Lab, scenario: &str, site: &Site, effort: Effort) -> Result<Results> {
    let mut remote = lab.machine().remote(kmdf::MODULE)?;
    remote.wait_up_to(LIMIT)?;
    let question = Question::Bench {
        scenario: scenario.to_owned(),
        site: serde_json::to_string(site)?,
        effort: serde_json::to_string(&effort)?,
    };
    match remote.ask(&question)? {
        Answer::Bench(results) => Ok(serde_json::from_str(&results)?),
        other => bail!("not results: {other:?}"),
    }
}

/// The server of the comparisons. Nobody else's: its certificate stays on the machine without its issuer.
const NAME: &str = "measured.test";

/// A certificate that the driver's caller can use, alone: both sides of a comparison send the same.
fn site(lab: &Lab) -> Result<Site> {
    let pki = Pki::of(lab)?;
    let identity = pki.on_the_machine(NAME, Kind::Ecdsa, Purpose::Server)?;
    let chain = format!("{}.chain", identity.thumbprint()?);
    fs::write(lab.machine().lab().join("keys").join(chain), "")?;
    Ok(Site {
        name: NAME.to_owned(),
        certificate: identity.certificate.to_der()?,
        root: pki.trusted.certificate().to_der()?,
        key: identity.key.private_key_to_pkcs8()?,
    })
}

/// Installs the driver anew, with [`PARAMETERS`], which no other test is to find.
fn restart(lab: &Lab) -> Result<()> {
    lab.uninstall()?;
    lab.machine().set_parameters(&[SERVICE], &PARAMETERS)?;
    let installed = lab.install();
    lab.machine().clear_parameters(SERVICE)?;
    installed
}
