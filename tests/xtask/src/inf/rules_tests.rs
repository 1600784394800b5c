//! TlsGate's INF breaks no rule, and each rule refuses an INF that breaks it.

use super::{
    made_of,
    rules::{self, RULES},
    stamp,
};

const TEMPLATE: &str = include_str!("../../../../inf/tlsgate.inx");

/// The rule, and the change to TlsGate's INF that breaks it: a text and what takes its place.
const BROKEN: [(&str, &str, &str); 50] = [
    ("1001", "$WINDOWS NT$", "$DOS$"),
    ("1001", "[Version]", "[Versions]"),
    ("1002", "[Driver.Files]", "[Driver.Files"),
    ("1003", "Windows kernel\"", "Windows kernel\u{2026}\""),
    ("1010", "{4d36e97d-e325-", "{4d36e97d-e32x-"),
    ("1010", "{4d36e97d-", "4d36e97d-"),
    (
        "1100",
        "[Driver.Files]\ntlsgate.sys",
        "[Driver.Files]\ntlsgate.sys, driver.sys",
    ),
    ("1203", "[Driver.Files]", "[Files]"),
    ("1203", "TlsGate,,Driver.Service", "TlsGate,,Service"),
    ("1204", "= \"TlsGate\"", "= \"Microsoft Corporation\""),
    ("1209", "[Strings]", "[version]\nClass = System\n[Strings]"),
    (
        "1213",
        "[SourceDisksFiles]",
        "[SourceDisksFiles]\ntlsgate.cat = 1",
    ),
    ("1214", "tlsgate.cat", "tlsgate.txt"),
    ("1214", "tlsgate.cat", "x\\tlsgate.cat"),
    ("1217", ",0.1.0.0", ",0.1.0"),
    ("1217", ",0.1.0.0", ",0.1.0.70000"),
    ("1218", "11/22/2026", "22/11/2026"),
    ("1218", "11/22/2026", "2026-11-22"),
    ("1230", "tlsgate.sys = 1", "other.sys = 1"),
    ("1230", "[SourceDisksFiles]", "[SourceDiskFiles]"),
    ("1233", "CatalogFile = tlsgate.cat", ""),
    ("1233", "Provider    = %Provider%", "Provider ="),
    ("1233", "Class       = System", ""),
    ("1235", "Disk        =", "Disc        ="),
    ("1254", "ServiceBinary = %13%\\", "ServiceBinary = %12%\\"),
    (
        "1254",
        "ServiceBinary = %13%\\tlsgate",
        "ServiceBinary = %13%\\driver",
    ),
    ("1273", "1 = %Disk%", "2 = %Disk%"),
    (
        "1274",
        "[DefaultInstall.NTamd64]",
        "[DefaultInstall.NT$ARCH$]",
    ),
    ("1281", "{4d36e97d-", "{4d36e97e-"),
    ("1281", "= System", "= Net"),
    ("1289", "ServiceType   = 1", ""),
    ("1289", "StartType     = 3", ""),
    ("1289", "ErrorControl  = 1", ""),
    ("1289", "ServiceBinary = %13%\\tlsgate.sys", ""),
    (
        "1301",
        "CopyFiles = Driver.Files",
        "CopyFiles = Driver.Files\nDelFiles = Driver.Files",
    ),
    ("1301", "AddService =", "DelService = Other\nAddService ="),
    ("1320", "AddReg = Driver.Service.AddReg", "AddReg = Roots"),
    ("1322", "DefaultDestDir = 13", "DefaultDestDir = 12"),
    ("1322", "DefaultDestDir = 13", "DefaultDestDir = 13, sub"),
    ("1322", "[DestinationDirs]", "[Destinations]"),
    ("1323", "AddReg = Driver.Service.AddReg", "AddReg = Keys"),
    ("1324", "PnpLockdown = 1", "PnpLockdown = 0"),
    ("1324", "PnpLockdown = 1", ""),
    ("1420", "[Strings]", "[Manufacturer]\n[Strings]"),
    ("1420", "[Strings]", "[DefaultUninstall.NTamd64]\n[Strings]"),
    ("1421", "[DefaultInstall.NTamd64]", "[DefaultInstall]"),
    (
        "1421",
        "[DefaultInstall.NTamd64.Services]",
        "[DefaultInstall.Services]",
    ),
    (
        "1423",
        "[DefaultInstall.NTamd64]",
        "[DefaultInstall.NTarm64]",
    ),
    ("service flags", "TlsGate,,", "TlsGate,2,"),
    ("service flags", "TlsGate,,", "TlsGate,0x800,"),
];

/// TlsGate's INF writes nothing into the registry. So that the rules about that have something to look
/// at, the tests' INF does.
fn with_registry() -> String {
    let inf = stamp(TEMPLATE).replace(
        "ServiceBinary =",
        "AddReg = Driver.Service.AddReg\nServiceBinary =",
    );
    inf + "\n[Driver.Service.AddReg]\nHKR,Parameters,Value,0x00010001,1\n\
           [Roots]\nHKLM,Software\\Parameters,Value,,1\n\
           [Keys]\nHKR,Parameter,Value,,1\n"
}

#[test]
fn the_inf_breaks_no_rule() {
    let inf = made_of(TEMPLATE).unwrap();
    assert!(!inf.contains("$ARCH$"), "{inf}");
    assert_eq!(rules::faults(&with_registry()), [""; 0]);
}

#[test]
fn its_version_is_the_program_s() {
    let version = concat!(",", env!("CARGO_PKG_VERSION"), ".0\n");
    assert!(TEMPLATE.contains(version), "DriverVer is not {version}");
}

#[test]
fn what_breaks_a_rule_is_refused() {
    for (name, from, to) in BROKEN {
        let sound = with_registry();
        let broken = sound.replacen(from, to, 1);
        assert_ne!(broken, sound, "{from} is not there");
        let faults = rules::faults(&broken);
        assert!(
            faults
                .iter()
                .any(|fault| fault.starts_with(&format!("{name}: "))),
            "{from} became {to}, and of {name} nothing is said: {faults:?}"
        );
    }
}

#[test]
fn a_template_that_breaks_a_rule_makes_no_inf() {
    let error = made_of(&TEMPLATE.replace("PnpLockdown = 1", "")).unwrap_err();
    assert!(error.to_string().contains("1324"), "{error}");
}

#[test]
fn every_rule_is_seen_broken() {
    for rule in &RULES {
        assert!(
            BROKEN.iter().any(|(name, ..)| *name == rule.name),
            "no test breaks {}",
            rule.name
        );
    }
}
