//! Limits that an administrator has set in the Parameters key.

use crate::probe::{lab, probe, restart_with};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use tlsgate_lab_control::kmdf::{Switches, Trace, Value};
use tlsgate_lab_machine::Parameter;

/// Settings by name.
type Settings = &'static [(&'static str, u32)];

/// Each scenario of the probe, and what it wants to be set.
const QUOTAS: &[(&str, Settings)] = &[
    (
        "things",
        &[
            ("Handles", 3),
            ("Sessions", 4),
            ("SessionsPerHandle", 3),
            ("Credentials", 4),
            ("CredentialsPerHandle", 3),
        ],
    ),
    (
        "requests",
        &[
            ("PendingRequests", 4),
            ("PendingRequestsPerHandle", 3),
            ("Orphans", 3),
            ("OrphansPerHandle", 2),
        ],
    ),
    (
        "operations",
        &[("Operations", 24), ("OperationsPerHandle", 16)],
    ),
    ("input", &[("InputMiB", 2), ("InputMiBPerHandle", 1)]),
    (
        "failures",
        &[("FailuresPerSecond", 1), ("FailuresBurst", 3)],
    ),
];

#[test]
fn the_one_too_many_is_refused_until_something_is_given_back() -> Result<()> {
    let lab = lab()?;
    for (scenario, settings) in QUOTAS {
        let settings: Vec<_> = settings
            .iter()
            .map(|&(name, value)| (name, Parameter::Number(value)))
            .collect();
        restart_with(&lab, &settings)?;
        probe(&lab, &["quotas", scenario]).with_context(|| format!("{settings:?}"))?;
    }
    lab.finish()
}

/// The switches in the order of the protocol's mask.
const KILL_SWITCHES: [&str; 6] = [
    "DisableAcquire",
    "DisableAccept",
    "DisableConnect",
    "DisableRecords",
    "DisableShutdown",
    "DisableQuery",
];

#[test]
fn what_is_switched_off_is_refused_and_nothing_else() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["switched-off", "0"])?;
    for (bit, name) in KILL_SWITCHES.iter().enumerate() {
        restart_with(&lab, &[(name, Parameter::Number(1))])?;
        let mask = (1 << bit).to_string();
        probe(&lab, &["switched-off", &mask]).context(*name)?;
    }
    let all = KILL_SWITCHES.map(|name| (name, Parameter::Number(1)));
    restart_with(&lab, &all)?;
    probe(&lab, &["switched-off", "63"])?;
    lab.finish()
}

/// Values that are no good; what an event says of each, and what is used.
const NO_GOOD: [(&str, Parameter, u64, u64); 6] = [
    ("Sessions", Parameter::Number(0), 0, 131_072),
    ("DisableAccept", Parameter::Number(2), 2, 0),
    (
        "HandshakeTimeoutMostMs",
        Parameter::Number(3_600_001),
        3_600_001,
        300_000,
    ),
    ("SlowLegMs", Parameter::Text("1000"), 0, 5_000),
    ("LostCallbackMs", Parameter::Raw(4, &[1, 2, 3]), 0, 2_000),
    // More than the whole is: the whole.
    ("CredentialsPerHandle", Parameter::Number(65_536), 0, 4_096),
];

#[test]
fn settings_that_are_no_good_are_ignored_and_told() -> Result<()> {
    let lab = lab()?;
    lab.machine().begin_with(&Switches {
        trace: Some(Trace::EVERYTHING),
        ..Switches::default()
    })?;
    let parameters = NO_GOOD.map(|(name, value, ..)| (name, value));
    restart_with(&lab, &parameters)?;
    let told: BTreeMap<_, _> = lab
        .machine()
        .logged_events()?
        .into_iter()
        .filter(|event| event.name == "SettingIgnored" && event.level == 3)
        .map(|event| (format!("{:?}", event.fields["name"]), event))
        .collect();
    ensure!(told.len() == NO_GOOD.len(), "{told:#?}");
    for (name, _, value, used) in NO_GOOD {
        let fields = BTreeMap::from([
            ("name".to_owned(), Value::Text(name.into())),
            ("value".to_owned(), Value::Unsigned(value)),
            ("used".to_owned(), Value::Unsigned(used)),
        ]);
        let event = told.get(&format!("{:?}", Value::Text(name.into())));
        ensure!(
            event.is_some_and(|event| event.fields == fields),
            "{name}: {event:?}"
        );
    }
    // None of them keeps anything from working, and all are counted.
    probe(&lab, &["handshake"])?;
    probe(&lab, &["ignored", &NO_GOOD.len().to_string()])?;
    lab.finish()
}
