//! Other people's test suites against the driver's servers, and against the same engine served without a
//! driver: every difference is explained in `tests/e2e/suites/differences.toml`.

mod differences;
#[path = "../stream/pki.rs"]
mod pki;
mod reference;
mod scanners;
mod scripted;

use anyhow::{Result, anyhow, ensure};
use differences::{Findings, Table};
use pki::{Kind, NAME, Pki, Purpose};
use reference::Content;
use serde_json::{Value, json};
use std::{env, fs, net::SocketAddr, path::Path, thread};
use tlsgate_e2e::{Lab, Server, report};

/// The application protocols of the servers that have a page.
const ALPN: &str = "h2,http/1.1";

/// Set to have every case tried, by `cargo xtask suites`.
const WHOLE: &str = "TLSGATE_SUITES_WHOLE";

/// The same three servers, with the driver or without it.
#[derive(Clone, Copy)]
struct Servers {
    page: SocketAddr,
    echo: SocketAddr,
    mutual: SocketAddr,
}

#[test]
fn every_difference_from_the_engine_without_a_driver_is_explained() -> Result<()> {
    let whole = env::var_os(WHOLE).is_some();
    let lab = Lab::start(&mut |_| {})?;
    let pki = Pki::of(&lab)?;
    let identities = [
        pki.on_the_machine(NAME, Kind::Rsa, Purpose::Server)?,
        pki.on_the_machine(NAME, Kind::Ecdsa, Purpose::Server)?,
    ];
    let thumbprints = [identities[0].thumbprint()?, identities[1].thumbprint()?];
    let start = |further: &[&str]| {
        let certificates = [thumbprints[0].as_str(), &thumbprints[1]];
        Server::start_of(&lab, &certificates, further)
    };
    let page = start(&["--alpn", ALPN])?;
    let echo = start(&["--echo"])?;
    let mutual = start(&["--echo", "--client-auth", "require"])?;
    let with = Servers {
        page: page.address(),
        echo: echo.address(),
        mutual: mutual.address(),
    };
    let reference =
        |content, clients| reference::start(&identities, &pki.trusted, content, clients);
    let without = Servers {
        page: reference(Content::Page, None)?,
        echo: reference(Content::Echo, None)?,
        mutual: reference(Content::Echo, Some(&pki.trusted))?,
    };
    let folder = tempfile::tempdir()?;
    scripted::identities(&pki, folder.path())?;
    fs::write(
        folder.path().join("authority.pem"),
        pki.trusted.certificate().to_pem()?,
    )?;
    let (with, without) = thread::scope(|scope| {
        let with = scope.spawn(|| findings(with, folder.path(), whole));
        let without = findings(without, folder.path(), whole);
        Ok::<_, anyhow::Error>((joined(with)?, without?))
    })?;
    let faults = Table::read()?.faults(&with, &without, whole);
    report::give(&report_of(&with, &without, &faults))?;
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    for server in [page, echo, mutual] {
        server.stop()?;
    }
    lab.finish()
}

/// What all suites find of these servers; they wait for one another's answers more than they work.
fn findings(servers: Servers, folder: &Path, whole: bool) -> Result<Findings> {
    thread::scope(|scope| {
        let authority = folder.join("authority.pem");
        let testssl = scope.spawn(move || scanners::testssl(servers.page, &authority, whole));
        let mut found = scripted::run(servers.echo, servers.mutual, folder, whole)?;
        found.extend(scanners::sslscan(servers.page)?);
        found.extend(joined(testssl)?);
        Ok(found)
    })
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .unwrap_or_else(|_| Err(anyhow!("a suite's thread has panicked")))
}

/// How many cases there were of each suite, how many differ, and what is wrong.
fn report_of(with: &Findings, without: &Findings, faults: &[String]) -> Value {
    let rows = ["testssl.sh", "sslscan", "tlslite-ng"].map(|suite| {
        let of_suite = |found: &Findings| -> Findings {
            let of_suite = found.iter().filter(|(case, _)| suite_of(case) == suite);
            of_suite
                .map(|(case, it)| (case.clone(), it.clone()))
                .collect()
        };
        let (with, without) = (of_suite(with), of_suite(without));
        json!({
            "suite": suite,
            "cases": with.len().max(without.len()),
            "differences": differences::count(&with, &without),
        })
    });
    json!({
        "tried": with.len().max(without.len()),
        "differences": differences::count(with, without),
        "failed": faults.len(),
        "faults": faults,
        "suites": rows,
    })
}

/// The scripts' cases have the names of their files in front.
fn suite_of(case: &str) -> &str {
    match case.split_once(": ") {
        Some((suite @ ("testssl.sh" | "sslscan"), _)) => suite,
        _ => "tlslite-ng",
    }
}
