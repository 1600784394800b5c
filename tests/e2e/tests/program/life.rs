//! The driver comes, works and goes; `doctor` and `stats` tell.

use crate::tool::{done, ends_with, fails, is, json, number, parse, text};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use tlsgate_e2e::{Lab, PROGRAM, Server, openssl_client};
use tlsgate_lab_machine::Machine;

#[test]
fn doctor_says_what_is_there_and_what_to_do_next() -> Result<()> {
    let lab = Lab::start(&mut |_| {})?;
    let machine = lab.machine();
    lab.uninstall()?;
    nothing_is_there(machine)?;

    let steps = done(machine, &["install"])?;
    for step in ["copying", "creating the service", "starting", "is running"] {
        ensure!(steps.contains(step), "{step:?} is not told: {steps}");
    }
    let report = json(machine, 0, &["doctor"])?;
    is(&report, "/ready", true)?;
    is(&report, "/service", "running")?;
    is(&report, "/device", "answers")?;
    is(&report, "/driver/version", env!("CARGO_PKG_VERSION"))?;
    is(&report, "/driver/abi", 1)?;
    let installed = fs::metadata(machine.drivers().join("tlsgate.sys"))?.len();
    is(&report, "/file/size", installed)?;
    let known = report["certificates"].as_array().context("no list")?;
    let known = known
        .iter()
        .find(|one| one["thumbprint"] == lab.thumbprint());
    let known = known.with_context(|| format!("the certificate is not told: {report:#}"))?;
    is(known, "/subject", "CN=localhost")?;
    is(known, "/valid_now", true)?;
    ensure!(text(&report, "/next")?.starts_with("tlsgate serve --cert "));
    // Nothing has been asked of ksecdd yet.
    is(
        &observed(&report, "completed_late")?,
        "/answer",
        "no call yet",
    )?;
    counted(&lab)?;
    let report = json(machine, 0, &["doctor"])?;
    ensure!(number(&observed(&report, "completed_inline")?, "/value")? < 1000);
    let seen = ["completed_inline", "completed_early", "completed_late"];
    let seen = seen.map(|name| observed(&report, name).and_then(|one| number(&one, "/value")));
    let seen = seen.into_iter().sum::<Result<u64>>()?;
    ensure!(seen > 0, "no completion was observed: {report:#}");
    coloured(machine)?;

    is_stopped_when_nobody_uses_it(&lab)?;
    nothing_is_there(machine)?;
    lab.install()?;
    lab.finish()
}

/// What the doctor says where there is no driver; nothing else works then.
fn nothing_is_there(machine: &Machine) -> Result<()> {
    let said = ends_with(machine, 1, &["doctor"])?;
    let last = said.stdout.lines().last().unwrap_or_default();
    ensure!(last.starts_with("next: tlsgate install"), "{}", said.stdout);
    ensure!(said.stdout.contains("service       not installed\n"));
    let report = json(machine, 1, &["doctor"])?;
    is(&report, "/ready", false)?;
    is(&report, "/service", "absent")?;
    is(&report, "/device", "absent")?;
    is(&report, "/driver", Value::Null)?;
    is(&report, "/file/size", Value::Null)?;
    let path = text(&report, "/file/path")?.to_lowercase();
    ensure!(path.ends_with(r"\drivers\tlsgate.sys"), "{path}");
    fails(
        machine,
        3,
        &["stats"],
        &[r"\\.\TlsGate", "`tlsgate install`"],
    )
}

fn observed(report: &Value, name: &str) -> Result<Value> {
    let all = report["observed"].as_array().context("nothing observed")?;
    let one = all.iter().find(|one| one["name"] == name);
    one.cloned()
        .with_context(|| format!("no {name}: {report:#}"))
}

/// `stats` counts what OpenSSL did.
fn counted(lab: &Lab) -> Result<()> {
    let machine = lab.machine();
    let before = json(machine, 0, &["stats"])?;
    is(&before, "/since_load/handshakes", 0)?;
    let server = Server::start(lab, "")?;
    openssl_client(server.address(), &[])?;
    let after = json(machine, 0, &["stats"])?;
    is(&after, "/since_load/handshakes", 1)?;
    is(&after, "/since_load/sessions_failed", 0)?;
    is(&after, "/now/credentials", 1)?;
    let buckets = after["leg_latency"].as_array().context("no histogram")?;
    let legs: u64 = buckets.iter().filter_map(|it| it["count"].as_u64()).sum();
    ensure!(
        legs > 0 && legs <= number(&after, "/ksecdd/calls")?,
        "{after:#}"
    );

    let watch = ["stats", "--watch", "1", "--times", "2", "--json"];
    let watching = machine.spawn(PROGRAM, &watch)?;
    let first = parse(&watching.line()?)?;
    is(&first, "/since_load/handshakes", 1)?;
    ensure!(
        first.get("per_second").is_none(),
        "a rate of nothing: {first:#}"
    );
    openssl_client(server.address(), &[])?;
    // The second line may have been drawn up before that, but not before a second had passed.
    let second = parse(&watching.line()?)?;
    let came = number(&second, "/since_load/handshakes")? - 1;
    let seconds = second["seconds"].as_f64().context("no time")?;
    let rate = second["per_second"]["handshakes"]
        .as_f64()
        .context("no rate")?;
    ensure!(seconds >= 0.5, "{second:#}");
    #[expect(clippy::cast_precision_loss, reason = "one at most")]
    let expected = came as f64 / seconds;
    ensure!((rate - expected).abs() < 0.01, "{second:#}");
    ensure!(watching.end()? == Some(0), "watching does not end");

    let said = done(machine, &["stats", "--watch", "--times", "1"])?;
    ensure!(
        said.contains("  handshakes completed                    2\n"),
        "{said}"
    );
    server.stop()
}

/// Colours are for terminals, unless one is forced; `NO_COLOR` is stronger.
fn coloured(machine: &Machine) -> Result<()> {
    let with = |variables: &str| -> Result<bool> {
        let line = format!("{variables}{PROGRAM} doctor");
        let output = machine.run("cmd", &["/c", &line])?.success()?;
        ensure!(output.stdout.contains("running"), "{}", output.stdout);
        Ok(output.stdout.contains('\u{1b}'))
    };
    ensure!(!with("")?, "coloured, and no terminal");
    ensure!(with("set CLICOLOR_FORCE=1&& ")?, "not coloured when forced");
    ensure!(
        !with("set CLICOLOR_FORCE=1&& set NO_COLOR=1&& ")?,
        "NO_COLOR is ignored"
    );
    Ok(())
}

/// A program that has the device open keeps the driver: that is told, and the next try does it.
fn is_stopped_when_nobody_uses_it(lab: &Lab) -> Result<()> {
    let machine = lab.machine();
    let server = Server::start(lab, "")?;
    let uninstall = ["uninstall", "--timeout", "1"];
    fails(machine, 1, &uninstall, &["still have its device open"])?;
    let report = json(machine, 0, &["doctor"]).or_else(|_| json(machine, 1, &["doctor"]))?;
    is(&report, "/service", "changing")?;
    server.stop()?;
    let steps = done(machine, &["uninstall"])?;
    for step in ["stopping", "deleting the service", "removed"] {
        ensure!(steps.contains(step), "{step:?} is not told: {steps}");
    }
    machine.check()
}
