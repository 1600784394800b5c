//! The doctor's report as a person reads it.

use super::report::{Device, Report, Service, TestSigning};
use crate::show::{BAD, GOOD, HEADING, NOTE, styled};
use anstyle::Style;

/// The report, with styles; the last line is what to do next.
pub fn text(report: &Report) -> String {
    let mut lines = Lines(Vec::new());
    let program = &report.program;
    lines.row(
        "program",
        Style::new(),
        &format!("TlsGate {}, ABI version {}", program.version, program.abi),
    );
    service(&mut lines, report);
    driver(&mut lines, report);
    certificates(&mut lines, report);
    if !report.observed.is_empty() {
        lines.heading("what Windows leaves open, as the driver has seen it");
        for one in &report.observed {
            lines.add(format!("  {:<66}{}", one.question, one.answer));
        }
    }
    if !report.notes.is_empty() {
        lines.heading("notes");
        for note in &report.notes {
            lines.add(format!("  {}", styled(NOTE, note)));
        }
    }
    let next = if report.ready { GOOD } else { NOTE };
    lines.add(format!("next: {}", styled(next, &report.next)));
    lines.0.join("\n")
}

fn service(lines: &mut Lines, report: &Report) {
    let (style, state) = match report.service {
        Service::Absent => (BAD, "not installed"),
        Service::Stopped => (BAD, "stopped"),
        Service::Running => (GOOD, "running"),
        Service::Changing => (NOTE, "starting or stopping"),
        Service::Unknown => (NOTE, "cannot tell"),
    };
    lines.row("service", style, state);
    let path = report.file.path.display();
    match report.file.size {
        Some(size) => lines.row("driver file", GOOD, &format!("{path}, {size} bytes")),
        None => lines.row("driver file", BAD, &format!("there is no {path}")),
    }
    let signing = match report.test_signing {
        TestSigning::On => "on",
        TestSigning::Off => "off",
        TestSigning::Unknown => "cannot tell",
    };
    lines.row("test signing", Style::new(), signing);
    let (style, device) = match report.device {
        Device::Absent => (BAD, "not there"),
        Device::Denied => (BAD, "access denied"),
        Device::Broken => (BAD, "does not answer as it should"),
        Device::OtherVersion => (BAD, "another ABI version"),
        Device::Answers => (GOOD, "answers"),
    };
    lines.row("device", style, device);
}

fn driver(lines: &mut Lines, report: &Report) {
    let Some(driver) = &report.driver else {
        return;
    };
    let version = &driver.version;
    lines.row(
        "driver",
        Style::new(),
        &format!("TlsGate {}, ABI version {}", version.version, version.abi),
    );
    if !driver.switched_off.is_empty() {
        let names = driver.switched_off.join(", ");
        let off = format!("{names}; the service's Parameters say so");
        lines.row("switched off", NOTE, &off);
    }
    if let Some(limits) = &driver.limits {
        lines.heading("limits");
        for (what, limit) in [
            ("bytes of TLS stream a leg", limits.largest_input),
            ("bytes of a leg's reply", limits.largest_reply),
            ("bytes of a SEAL or UNSEAL", limits.largest_records),
            ("milliseconds of a handshake", limits.default_timeout_ms),
            ("and at most", limits.longest_timeout_ms),
        ] {
            lines.add(format!("  {what:<30}{limit}"));
        }
    }
}

fn certificates(lines: &mut Lines, report: &Report) {
    lines.heading("certificates with a private key, in the machine's store MY");
    if report.certificates.is_empty() {
        lines.add("  none".to_owned());
    }
    for one in &report.certificates {
        let end = one.last_day();
        let validity = if one.valid_now {
            format!("until {end}")
        } else {
            styled(BAD, format!("not valid now; until {end}"))
        };
        lines.add(format!("  {}  {}  {validity}", one.thumbprint, one.subject));
    }
}

struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, line: String) {
        self.0.push(line);
    }

    fn heading(&mut self, text: &str) {
        self.add(format!("{}:", styled(HEADING, text)));
    }

    fn row(&mut self, name: &str, style: Style, value: &str) {
        self.add(format!("{name:<14}{}", styled(style, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn the_last_line_is_what_to_do_next() {
        let mut report = report(Device::Absent, Service::Absent);
        report.next = report.next_step();
        report.notes.push("a note".into());
        let text = anstream::adapter::strip_str(&text(&report)).to_string();
        assert!(text.contains("service       not installed\n"), "{text}");
        let last = text.lines().last().unwrap();
        assert_eq!(last, "next: tlsgate install    (as an administrator)");
    }
}
