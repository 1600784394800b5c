//! `tlsgate bench`: numbers that can be.

use crate::command::{EXPORTABLE, nothing_is_left, run};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tlsgate_e2e::Lab;

/// Handshakes of a short run.
const HANDSHAKES: u64 = 40;

/// Short runs of every kind.
pub fn all(lab: &Lab) -> Result<()> {
    let full = measure(lab, &["--bytes", "--compare"])?;
    let [ours, theirs] = &rows(&full)?[..] else {
        anyhow::bail!("two servers were due: {full}");
    };
    ensure!(
        ours["server"] == "TlsGate" && theirs["server"] == "rustls",
        "{full}"
    );
    for row in [ours, theirs] {
        sane(row, 0)?;
        for rate in ["sealed_bytes_per_second", "unsealed_bytes_per_second"] {
            ensure!(row[rate].as_f64() > Some(10_000.0), "{rate}: {row}");
        }
    }
    let rate = |row: &Value| row["handshakes_per_second"].as_f64().context("no rate");
    let ratio = full["ratio"]["handshakes_per_second"].as_f64();
    let due = rate(ours)? / rate(theirs)?;
    ensure!(ratio.is_some_and(|it| (it - due).abs() < 1e-6), "{full}");
    let spread = full["ratio"]["handshakes_per_second_spread"].as_f64();
    ensure!(spread.is_some_and(|it| it >= 0.0), "{full}");
    empty_ioctls(&full["empty_ioctls"])?;
    ensure!(full["environment"]["wine"].is_string(), "{full}");

    let resumed = measure(lab, &["--resumed", "--tls", "1.2", "--peer", "tlsgate"])?;
    sane(&rows(&resumed)?[0], HANDSHAKES)?;
    ensure!(
        resumed["ratio"].is_null() && resumed["tls"] == "1.2",
        "{resumed}"
    );

    let compared = measure(lab, &["--resumed", "--tls", "1.2", "--compare"])?;
    for row in rows(&compared)? {
        sane(&row, HANDSHAKES)?;
    }
    nothing_is_left(lab)
}

fn measure(lab: &Lab, further: &[&str]) -> Result<Value> {
    let handshakes = HANDSHAKES.to_string();
    let fixed = [
        "bench",
        EXPORTABLE,
        "--json",
        "--connections",
        "4",
        "--seconds",
        "2",
        "--handshakes",
        &handshakes,
    ];
    let output = run(lab, &[&fixed, further].concat())?.success()?;
    serde_json::from_str(&output.stdout).with_context(|| output.stdout)
}

fn rows(result: &Value) -> Result<Vec<Value>> {
    let rows = result["servers"].as_array().cloned();
    rows.filter(|rows| !rows.is_empty()).context("no servers")
}

/// A server's handshake has two legs; its session is queried, says a byte, and is closed. The way of an IOCTL
/// takes more than nothing; how much of a handshake, a machine with other work to do does not say.
fn empty_ioctls(it: &Value) -> Result<()> {
    let number = |name: &str| it[name].as_f64().with_context(|| format!("{name}: {it}"));
    let each = number("per_handshake")?;
    ensure!((4.0..10.0).contains(&each), "{it}");
    ensure!(number("per_second")? > 50.0, "{it}");
    ensure!(
        (1.0..100_000.0).contains(&number("microseconds_alone")?),
        "{it}"
    );
    let share = number("share_of_a_handshake")?;
    ensure!(share > 0.0 && share < 50.0, "{it}");
    Ok(())
}

/// So many handshakes were resumed, and the numbers fit one another.
fn sane(row: &Value, resumed: u64) -> Result<()> {
    ensure!(row["resumed"] == resumed, "{row}");
    let number = |name: &str| row[name].as_f64().with_context(|| format!("{name}: {row}"));
    let rate = number("handshakes")? / number("seconds")?;
    ensure!(
        (rate - number("handshakes_per_second")?).abs() < 1e-6,
        "{row}"
    );
    let latency = &row["latency_microseconds"];
    let of = |name: &str| {
        latency[name]
            .as_u64()
            .with_context(|| format!("{name}: {row}"))
    };
    ensure!(
        0 < of("p50")? && of("p50")? <= of("p90")? && of("p90")? <= of("p99")?,
        "{row}"
    );
    ensure!(of("p99")? <= of("max")? && of("max")? < 60_000_000, "{row}");
    ensure!(number("handshakes")? >= 1.0, "{row}");
    Ok(())
}
