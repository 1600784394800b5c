//! `tlsgate trace`: the driver's ETW events as they come.

mod decode;
#[cfg(windows)]
mod session;

use clap::Args;
use decode::Event;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339, macros::datetime};

const EXAMPLES: &str = "\
Example:
  tlsgate trace --json > events.json     until Ctrl-C

Exit codes: 0 ended by Ctrl-C, 1 no events can be had, or no more.";

/// The command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Trace {
    /// A JSON object a line instead of text.
    #[arg(long)]
    pub json: bool,
}

/// An event with what its header says.
#[derive(Clone, Debug, PartialEq)]
struct Traced {
    /// 100 nanoseconds since 1601 in UTC: a FILETIME.
    time: i64,
    /// 1 critical to 5 verbose.
    level: u8,
    event: Event,
}

impl Traced {
    fn show(&self, json: bool) -> String {
        if !json {
            return format!("{} {:<11} {}", self.time(), self.level(), self.event.line());
        }
        let mut object = self.event.json();
        object["time"] = Value::from(self.time());
        object["level"] = json!(self.level());
        object.to_string()
    }

    fn time(&self) -> String {
        const EPOCH: OffsetDateTime = datetime!(1601-01-01 00:00 UTC);
        let since = Duration::microseconds(self.time / 10);
        let time = EPOCH.checked_add(since);
        let text = time.and_then(|time| time.format(&Rfc3339).ok());
        text.unwrap_or_else(|| self.time.to_string())
    }

    const fn level(&self) -> &'static str {
        match self.level {
            1 => "critical",
            2 => "error",
            3 => "warning",
            4 => "information",
            5 => "verbose",
            _ => "unknown",
        }
    }
}

#[cfg(windows)]
pub use windows::run;

#[cfg(windows)]
mod windows {
    use super::{Trace, session::Session};
    use anyhow::{Context, Result, bail};
    use std::io::Write;

    /// Prints events until Ctrl-C.
    pub async fn run(options: &Trace) -> Result<()> {
        // Before the session: one that Ctrl-C leaves runs on.
        let mut stopped = tokio::signal::windows::ctrl_c().context("cannot wait for Ctrl-C")?;
        let (mut session, mut events) = Session::start()?;
        eprintln!("listening to the provider TlsGate; Ctrl-C ends");
        loop {
            tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else {
                        // Somebody else has stopped the session.
                        session.stop()?;
                        bail!("the trace session has ended");
                    };
                    let mut output = std::io::stdout().lock();
                    writeln!(output, "{}", event.show(options.json))?;
                    output.flush()?;
                }
                _ = stopped.recv() => {
                    // The thread that reads may wait for room.
                    drop(events);
                    return session.stop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlsgate_core::event::{Kind, Payload, Value, event_metadata, event_metadata_size};

    #[test]
    fn an_event_is_a_line() {
        const FIELDS: &[(&str, Kind)] = &[("ioctl", Kind::Text), ("ntstatus", Kind::NtStatus)];
        const METADATA: [u8; event_metadata_size("Refused", FIELDS)] =
            event_metadata("Refused", FIELDS);
        let mut payload = Payload::new();
        assert!(payload.add(Value::Text("Seal")));
        assert!(payload.add(Value::Status(0xC000_0225_u32.cast_signed())));
        let traced = Traced {
            // 11,644,473,600 seconds lie between 1601 and 1970.
            time: 11_644_473_600 * 10_000_000 + 5_000_000,
            level: 3,
            event: decode::event(&METADATA, payload.bytes()).unwrap(),
        };
        assert_eq!(
            traced.show(false),
            "1970-01-01T00:00:00.5Z warning     Refused ioctl=\"Seal\" ntstatus=STATUS_NOT_FOUND"
        );
        let json: serde_json::Value = serde_json::from_str(&traced.show(true)).unwrap();
        assert_eq!(json["time"], "1970-01-01T00:00:00.5Z");
        assert_eq!(json["level"], "warning");
        assert_eq!(json["event"], "Refused");
        assert_eq!(json["fields"]["ntstatus"], "STATUS_NOT_FOUND");
    }
}
