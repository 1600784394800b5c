//! `tlsgate bench` at length, for `cargo xtask bench`: the same connections through the driver and through rustls
//! in user mode, and what part of the time Wine takes to carry IOCTLs.

use crate::command::{EXPORTABLE, nothing_is_left, run};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::env;
use tlsgate_e2e::{Lab, report};

/// Seconds that each measurement takes.
const SECONDS: &str = "TLSGATE_BENCH_SECONDS";

/// What is measured: its name, and how the program is asked for it.
const FORMS: [(&str, &[&str]); 4] = [
    ("TLS 1.3, full", &["--tls", "1.3", "--bytes"]),
    ("TLS 1.3, resumed", &["--tls", "1.3", "--resumed"]),
    ("TLS 1.2, full", &["--tls", "1.2", "--bytes"]),
    ("TLS 1.2, resumed", &["--tls", "1.2", "--resumed"]),
];

/// A million bytes.
const MEGA: f64 = 1e6;

#[test]
#[ignore = "for `cargo xtask bench`: minutes, and alone on the machine"]
fn figures_of_the_program() -> Result<()> {
    let lab = Lab::start_measuring(&mut |_| {})?;
    let seconds = env::var(SECONDS).unwrap_or_else(|_| "2".to_owned());
    let (mut rows, mut full) = (Vec::new(), 0.0);
    for (name, options) in FORMS {
        println!("tlsgate bench: {name}");
        let fixed = ["bench", EXPORTABLE, "--compare", "--json", "--seconds"];
        let output = run(&lab, &[&fixed[..], &[&*seconds], options].concat())?.success()?;
        let result: Value = serde_json::from_str(&output.stdout).context(output.stdout)?;
        let figures = Figures {
            form: name,
            result: &result,
        };
        rows.extend(figures.rows()?);
        // Each form that is resumed follows the one that is not.
        let rate = figures.number("/servers/0/handshakes_per_second")?;
        if options.contains(&"--resumed") {
            for (server, name) in ["TlsGate", "rustls"].iter().enumerate() {
                let count = |what| figures.number(&format!("/servers/{server}/{what}"));
                let part = count("resumed")? / count("handshakes")? * 100.0;
                rows.push(figures.row(&format!("{name}, of all were resumed"), part, "%", None));
            }
            rows.push(figures.row("resumed against full", rate / full, "", None));
        }
        full = rate;
    }
    nothing_is_left(&lab)?;
    lab.finish()?;
    report::give(&json!({ "rows": rows, "plots": [], "notes": [NOTE] }))
}

/// What came of one form.
struct Figures<'a> {
    form: &'a str,
    result: &'a Value,
}

impl Figures<'_> {
    fn rows(&self) -> Result<Vec<Value>> {
        let expected = ["TlsGate", "rustls"];
        for (at, name) in expected.iter().enumerate() {
            ensure!(
                self.result["servers"][at]["server"] == *name,
                "{}",
                self.result
            );
        }
        let rate = |server: u8| self.number(&format!("/servers/{server}/handshakes_per_second"));
        let (ours, theirs) = (rate(0)?, rate(1)?);
        let spread = self.number("/ratio/handshakes_per_second_spread")?;
        let share = self.number("/empty_ioctls/share_of_a_handshake")?;
        let latency = |which| self.number(&format!("/servers/0/latency_microseconds/{which}"));
        let row = |what: &str, value, unit: &str| self.row(what, value, unit, None);
        let mut rows = vec![
            row("TlsGate", ours, "handshakes/s"),
            row("rustls in user mode", theirs, "handshakes/s"),
            self.row("TlsGate against rustls", ours / theirs, "", Some(spread)),
            row("TlsGate, half take at most", latency("p50")?, "us"),
            row("TlsGate, 99 % take at most", latency("p99")?, "us"),
            row(
                "IOCTLs a handshake",
                self.number("/empty_ioctls/per_handshake")?,
                "",
            ),
            row(
                "an empty IOCTL, alone",
                self.number("/empty_ioctls/microseconds_alone")?,
                "us",
            ),
            row(
                "an empty IOCTL, 16 on their way",
                1e6 / self.number("/empty_ioctls/per_second")?,
                "us",
            ),
            row("as many empty IOCTLs take of its time", share * 100.0, "%"),
        ];
        // What is left of less than that is not known well enough.
        if share < 0.8 {
            let without = ours / (1.0 - share) / theirs;
            rows.push(row("against rustls, without that time", without, ""));
        }
        for way in ["sealed", "unsealed"] {
            let rate = |server: u8| {
                let place = format!("/servers/{server}/{way}_bytes_per_second");
                self.result.pointer(&place).and_then(Value::as_f64)
            };
            if let Some((ours, theirs)) = rate(0).zip(rate(1)) {
                rows.push(row(&format!("TlsGate, {way}"), ours / MEGA, "MB/s"));
                rows.push(row(&format!("rustls, {way}"), theirs / MEGA, "MB/s"));
                let ratio = format!("TlsGate against rustls, {way}");
                rows.push(row(&ratio, ours / theirs, ""));
            }
        }
        Ok(rows)
    }

    fn row(&self, what: &str, value: f64, unit: &str, spread: Option<f64>) -> Value {
        let name = format!("end to end, {}: {what}", self.form);
        json!({ "name": name, "value": value, "unit": unit, "spread": spread, "bound": null })
    }

    fn number(&self, place: &str) -> Result<f64> {
        let number = self.result.pointer(place).and_then(Value::as_f64);
        number
            .filter(|number| number.is_finite())
            .with_context(|| format!("no {place}: {}", self.result))
    }
}

/// What the report says of these figures.
const NOTE: &str = "\
End to end: `tlsgate bench --compare` in the lab, with the stand-ins whose costly checks are off. 16 connections \
shake hands at a time, in memory of one process, and both sides share the processors. The handshake's first byte and \
its end are among its IOCTLs. What Wine takes to carry an IOCTL is measured in the same run, in turn, with \
QUERY_VERSION, 16 on their way; a handshake's IOCTLs carry more bytes than that, so it is the least of Wine's part. \
TLS 1.2 and 1.3, P-256, the engines are rustls on both sides.";
