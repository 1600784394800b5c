//! An administrator's values against a map: what is out of bounds changes nothing and is told, and in the end
//! no share is larger than its whole.

use crate::steps;
use arbitrary::{Arbitrary, Unstructured};
use std::collections::{BTreeMap, BTreeSet};
use tlsgate_core::settings::{Ignored, LONGEST_NAME, Settings, TABLE};

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Apply(u8, Value),
    ApplyUnknown(&'a str, u32),
    Settle,
    TimeOut(u32),
}

#[derive(Arbitrary, Debug)]
enum Value {
    /// So far above the least.
    Low(u8),
    /// So far below the most.
    High(u8),
    /// So far above the most.
    TooHigh(u8),
    Any(u32),
}

/// What must not be more than what: README's table, in words.
const SHARES: [(&str, &str); 12] = [
    ("SessionsPerHandle", "Sessions"),
    ("CredentialsPerHandle", "Credentials"),
    ("PendingRequestsPerHandle", "PendingRequests"),
    ("OperationsPerHandle", "Operations"),
    ("Orphans", "LegsInside"),
    ("OrphansPerHandle", "Orphans"),
    ("OrphansPerHandle", "LegsInsidePerHandle"),
    ("InputMiBPerHandle", "InputMiB"),
    ("LegsInsidePerHandle", "LegsInside"),
    ("LegsInsideLeast", "LegsInside"),
    ("QuarantinedPerHandle", "Quarantined"),
    ("HandshakeTimeoutMs", "HandshakeTimeoutMostMs"),
];

/// Runs it.
pub fn run(bytes: &[u8]) {
    let mut settings = Settings::default();
    let mut model: BTreeMap<_, _> = TABLE.iter().map(|row| (row.name, row.default)).collect();
    steps(&mut Unstructured::new(bytes), |step: Step<'_>| {
        match step {
            Step::Apply(index, value) => apply(&mut settings, &mut model, index, &value),
            Step::ApplyUnknown(name, value) => {
                let is_known = TABLE.iter().any(|row| row.name == name);
                let answer = settings.apply(name, value);
                assert_eq!(answer == Err(Ignored::Unknown), !is_known, "{name}");
                if answer.is_ok() {
                    let row = TABLE.iter().find(|row| row.name == name);
                    model.insert(row.expect("it is known").name, value);
                }
            }
            Step::Settle => settle(&mut settings, &mut model),
            Step::TimeOut(wanted) => {
                let usual = model["HandshakeTimeoutMs"];
                let due = if wanted == 0 { usual } else { wanted };
                let most = model["HandshakeTimeoutMostMs"];
                // Until the values have been settled the usual one may be longer than the longest.
                let due = if wanted == 0 { due } else { due.min(most) };
                assert_eq!(settings.handshake_timeout(wanted), due);
            }
        }
        for (name, value) in &model {
            assert_eq!(read(&settings, name), *value, "{name}");
        }
    });
    settle(&mut settings, &mut model);
    for (share, whole) in SHARES {
        assert!(model[share] <= model[whole], "{share} > {whole}");
    }
}

fn apply(settings: &mut Settings, model: &mut BTreeMap<&str, u32>, index: u8, value: &Value) {
    let row = &TABLE[usize::from(index) % TABLE.len()];
    assert!(row.utf16().count() <= LONGEST_NAME);
    let value = match *value {
        Value::Low(by) => row.least.saturating_add(by.into()),
        Value::High(by) => row.most.saturating_sub(by.into()),
        Value::TooHigh(by) => row.most.saturating_add(u32::from(by) + 1),
        Value::Any(value) => value,
    };
    let before = model[row.name];
    let due = if (row.least..=row.most).contains(&value) {
        model.insert(row.name, value);
        Ok(())
    } else {
        let (name, used) = (row.name, before);
        Err(Ignored::NotTaken { name, used })
    };
    assert_eq!(
        settings.apply(row.name, value),
        due,
        "{} = {value}",
        row.name
    );
}

/// Every value that is lowered and was not a mere default is told, and no other.
fn settle(settings: &mut Settings, model: &mut BTreeMap<&str, u32>) {
    let mut told = BTreeSet::new();
    settings.settle(|ignored| match ignored {
        Ignored::NotTaken { name, .. } => _ = told.insert(name),
        Ignored::Unknown => panic!("an unknown setting is lowered"),
    });
    for row in TABLE {
        let (before, after) = (model[row.name], read(settings, row.name));
        assert!(after <= before, "{} was raised", row.name);
        let is_share = SHARES.iter().any(|(share, _)| *share == row.name);
        assert!(after == before || is_share, "{} is no share", row.name);
        // One that is lowered twice may be told of what it was lowered to first.
        if before != row.default || after == before {
            assert_eq!(told.contains(row.name), after < before, "{}", row.name);
        }
        model.insert(row.name, after);
    }
    for (share, whole) in SHARES {
        assert!(model[share] <= model[whole], "{share} > {whole}");
    }
}

/// What holds now: a value that is not taken is answered with it.
fn read(settings: &Settings, name: &str) -> u32 {
    let row = TABLE
        .iter()
        .find(|row| row.name == name)
        .expect("a setting");
    let mut copy = *settings;
    match copy.apply(name, row.most + 1) {
        Err(Ignored::NotTaken { used, .. }) => used,
        other => panic!("{other:?}"),
    }
}
