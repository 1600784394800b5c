//! `tlsgate selftest`: it passes, it fails, and it says so.

use crate::command::{EXPORTABLE, left, nothing_is_left, outcome, run, selftest};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tlsgate_e2e::{Lab, PROGRAM};
use tlsgate_lab_control::ksecdd::{Completion, Effect, Fault, Function, Switches};

/// So many certificates are in the stores during a run.
const CERTIFICATES: usize = 4;

#[test]
fn the_whole_selftest_passes_and_leaves_nothing() -> Result<()> {
    let lab = Lab::start(&mut |_| {})?;
    let (output, report) = selftest(&lab, &[])?;
    let output = output.success()?;
    print!("{}", output.stdout);
    nothing_is_left(&lab)?;

    let list = run(&lab, &["selftest", "--list", "--json"])?.success()?;
    let list: Vec<Value> = serde_json::from_str(&list.stdout)?;
    let cases = report["cases"].as_array().context("no cases")?;
    ensure!(list.len() > 30, "{} cases", list.len());
    ensure!(
        list.len() == cases.len(),
        "{} of {} cases ran",
        cases.len(),
        list.len()
    );
    for (listed, ran) in list.iter().zip(cases) {
        ensure!(listed["name"] == ran["name"], "{listed} is not {ran}");
        ensure!(ran["outcome"] == "passed", "{ran}");
        ensure!(ran["milliseconds"].is_u64(), "{ran}");
    }
    environment(&report)?;
    lab.finish()
}

/// It says on what it ran: nobody is to take the lab for Windows.
fn environment(report: &Value) -> Result<()> {
    let it = &report["environment"];
    let wine = it["wine"].as_str().context("it takes Wine for Windows")?;
    ensure!(
        wine.starts_with(|first: char| first.is_ascii_digit()),
        "{wine}"
    );
    ensure!(
        report["format"] == 1
            && it["abi"] == 1
            && it["driver"] == env!("CARGO_PKG_VERSION")
            && it["processors"].as_u64() >= Some(1),
        "{it}"
    );
    let observed = &it["observed_of_ksecdd"];
    let count = |name: &str| observed[name].as_u64().with_context(|| name.to_owned());
    let completed =
        count("completed_inline")? + count("completed_early")? + count("completed_late")?;
    ensure!(
        count("calls")? > 1000 && completed > 1000 && count("callbacks_lost")? == 0,
        "{observed}"
    );
    Ok(())
}

#[test]
fn what_does_not_pass_is_reported_and_what_is_measured_is_sane() -> Result<()> {
    let lab = Lab::start_alone(&mut |_| {})?;
    fails(&lab)?;
    times_out(&lab)?;
    unknown(&lab)?;
    killed(&lab)?;
    crate::bench::all(&lab)?;
    crate::trace::cannot(&lab)?;
    lab.finish()
}

/// A Windows that lacks something: the case that needs it notices, and the one beside it does not.
fn fails(lab: &Lab) -> Result<()> {
    const LACKS: [(Lack, &str, &str); 3] = [
        (
            |switches| switches.session_tickets = false,
            "server-resumes-tls13",
            "resumed: true was due",
        ),
        (
            |switches| switches.out_of_band_alert = false,
            "driver-ends",
            "the peer hears no close_notify",
        ),
        (
            |switches| {
                switches.faults.push(Fault {
                    function: Function::SspiAcceptSecurityContextAsync,
                    nth: 1,
                    effect: Effect::Completed(INTERNAL_ERROR),
                });
            },
            "server-tls12",
            "SEC_E_INTERNAL_ERROR",
        ),
    ];
    for (lack, case, why) in LACKS {
        let cases = ["version", case];
        let usual = lab.switches()?;
        lab.switch(lack)?;
        let (output, report) = selftest(lab, &cases)?;
        lab.switch(|switches| *switches = usual)?;
        ensure!(output.code == Some(1), "{output:?}");
        let told = format!("1 of 2 cases did not pass: {case}");
        ensure!(output.stderr.contains(&told), "{output:?}");
        let line = format!("FAILED    {case}");
        ensure!(output.stdout.contains(&line), "{output:?}");
        ensure!(outcome(&report, "version")? == "passed", "{report}");
        ensure!(outcome(&report, case)? == "failed", "{report}");
        let message = report["cases"][1]["message"].as_str();
        ensure!(message.is_some_and(|it| it.contains(why)), "{message:?}");
        nothing_is_left(lab)?;
        selftest(lab, &cases)?.0.success()?;
    }
    Ok(())
}

/// What a Windows may lack.
type Lack = fn(&mut Switches);

/// An exit code, as `tlsgate --help` lists them.
const WRONG_USAGE: i32 = 2;

/// `SEC_E_INTERNAL_ERROR`.
const INTERNAL_ERROR: i32 = 0x8009_0304_u32.cast_signed();

/// A security subsystem that does not answer.
fn times_out(lab: &Lab) -> Result<()> {
    lab.complete(Completion::Held)?;
    let (output, report) = selftest(lab, &["server-tls13", "--timeout", "1"])?;
    lab.complete(Completion::Late)?;
    lab.release(None)?;
    ensure!(output.code == Some(1), "{output:?}");
    ensure!(outcome(&report, "server-tls13")? == "timed-out", "{report}");
    nothing_is_left(lab)
}

fn unknown(lab: &Lab) -> Result<()> {
    let output = run(lab, &["selftest", "version", "nonsense"])?;
    ensure!(output.code == Some(WRONG_USAGE), "{output:?}");
    ensure!(
        output.stderr.contains("there is no case nonsense") && output.stdout.is_empty(),
        "{output:?}"
    );
    Ok(())
}

/// What a run that was killed has left goes with the next one.
fn killed(lab: &Lab) -> Result<()> {
    let arguments = ["selftest", EXPORTABLE, "version", "many-in-sequence"];
    let running = lab.machine().spawn(PROGRAM, &arguments)?;
    running.line_after("ok        version")?;
    running.kill()?;
    let left = left(lab)?;
    ensure!(
        left == CERTIFICATES,
        "{left} certificates are in the stores"
    );
    selftest(lab, &["version"])?.0.success()?;
    nothing_is_left(lab)
}
