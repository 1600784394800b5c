//! The doctor's look at the machine. Nothing that is missing or refused ends it: that is what it tells.

use super::{
    observed::observed,
    report::{Device, Driver, DriverFile, Limits, Report, Service, Version},
    signing::test_signing,
};
use crate::{
    certificate, driver,
    exit::{self, Exit},
    service::{self, Status},
};
use std::{fs, path::PathBuf};
use tlsgate::protocol::{
    ABI_VERSION,
    payload::{StatisticsReply, VersionReply, functions},
};

/// What an administrator can switch off.
const FUNCTIONS: [(u32, &str); 6] = [
    (functions::ACQUIRE, "ACQUIRE_CREDENTIAL"),
    (functions::ACCEPT, "ACCEPT"),
    (functions::CONNECT, "CONNECT"),
    (functions::RECORDS, "SEAL and UNSEAL"),
    (functions::SHUTDOWN, "SHUTDOWN"),
    (functions::QUERY, "QUERY_SESSION"),
];

/// Looks at everything.
pub async fn look() -> Report {
    let mut notes = Vec::new();
    let mut report = Report {
        ready: false,
        next: String::new(),
        program: Version {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            abi: ABI_VERSION,
        },
        service: service(&mut notes),
        file: file(&mut notes),
        test_signing: test_signing(),
        device: Device::Absent,
        driver: None,
        certificates: certificate::with_key("MY").unwrap_or_else(|error| {
            notes.push(format!("{error:#}"));
            Vec::new()
        }),
        observed: Vec::new(),
        notes,
    };
    if let Err(error) = ask(&mut report).await {
        report.device = match exit::code(&error) {
            Exit::NoDriver => Device::Absent,
            Exit::Denied => Device::Denied,
            _ => Device::Broken,
        };
        // That there is no driver is no more than what the service says.
        if report.device == Device::Broken {
            report.notes.push(format!("{error:#}"));
        }
    }
    report.ready = report.device == Device::Answers;
    report.next = report.next_step();
    report
}

/// What the driver tells.
async fn ask(report: &mut Report) -> anyhow::Result<()> {
    let device = tlsgate::Device::open()?;
    let said = driver::ask(&device).await?;
    report.driver = Some(said.version.as_ref().map_or_else(
        || Driver {
            version: Version {
                version: "unknown".to_owned(),
                abi: said.abi,
            },
            limits: None,
            switched_off: Vec::new(),
        },
        describe,
    ));
    if said.abi != ABI_VERSION {
        report.device = Device::OtherVersion;
        report.notes.push(driver::other_version(said.abi));
        return Ok(());
    }
    let statistics = device.driver().statistics().await?;
    report.observed = observed(&statistics);
    report.notes.extend(remarkable(&statistics));
    report.device = Device::Answers;
    Ok(())
}

fn describe(version: &VersionReply) -> Driver {
    let VersionReply {
        major,
        minor,
        patch,
        ..
    } = version;
    Driver {
        version: Version {
            version: format!("{major}.{minor}.{patch}"),
            abi: version.head.version,
        },
        limits: Some(Limits {
            largest_input: version.largest_input,
            largest_reply: version.largest_reply,
            largest_records: version.largest_records,
            default_timeout_ms: version.default_timeout_ms,
            longest_timeout_ms: version.longest_timeout_ms,
        }),
        switched_off: FUNCTIONS
            .iter()
            .filter(|(bit, _)| version.switched_off & bit != 0)
            .map(|(_, name)| *name)
            .collect(),
    }
}

/// Counters that tell of trouble when they are not 0.
fn remarkable(now: &StatisticsReply) -> Vec<String> {
    let counters = [
        (
            now.settings_ignored,
            "settings of the Parameters key were ignored: out of range, or not numbers; the event \
             SettingIgnored names each",
        ),
        (
            now.callbacks_lost,
            "calls of ksecdd ended without their callback",
        ),
        (
            now.quota_refusals,
            "requests were refused by a quota; the Parameters key raises it",
        ),
        (
            now.slow_calls,
            "calls of ksecdd were slow; LSASS may be overloaded",
        ),
    ];
    let counters = counters.into_iter().filter(|(count, _)| *count > 0);
    counters
        .map(|(count, what)| format!("{count} {what}"))
        .collect()
}

fn service(notes: &mut Vec<String>) -> Service {
    match service::status() {
        Ok(Status::Absent) => Service::Absent,
        Ok(Status::Stopped) => Service::Stopped,
        Ok(Status::Running) => Service::Running,
        Ok(Status::Changing) => Service::Changing,
        Err(error) => {
            notes.push(format!("{error:#}"));
            Service::Unknown
        }
    }
}

fn file(notes: &mut Vec<String>) -> DriverFile {
    let path = service::installed_file().unwrap_or_else(|error| {
        notes.push(format!("{error:#}"));
        PathBuf::new()
    });
    DriverFile {
        size: fs::metadata(&path).ok().map(|file| file.len()),
        path,
    }
}
