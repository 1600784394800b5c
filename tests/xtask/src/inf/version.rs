//! The rules for `[Version]`; see `rules.rs`.

use super::{file::Inf, rules::fault_if};

/// A directive's value in `[Version]`, with its tokens replaced.
fn version(inf: &Inf, directive: &str) -> Option<String> {
    let value = inf.section("Version")?.value(directive)?;
    inf.text(value).ok()
}

pub fn signature(inf: &Inf) -> Vec<String> {
    let signature = version(inf, "Signature").unwrap_or_default();
    fault_if(
        !signature.eq_ignore_ascii_case("$Windows NT$"),
        "[Version] has no Signature = \"$Windows NT$\"",
    )
}

pub fn class_guid(inf: &Inf) -> Vec<String> {
    let guid = version(inf, "ClassGuid").unwrap_or_default();
    let digits: Option<Vec<&str>> = guid
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .map(|digits| digits.split('-').collect());
    let sound = digits.is_some_and(|digits| {
        digits.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
            && digits.concat().chars().all(|c| c.is_ascii_hexdigit())
    });
    fault_if(!sound, "ClassGuid is no GUID")
}

/// What is known of the one class that TlsGate uses.
pub fn class(inf: &Inf) -> Vec<String> {
    const SYSTEM: (&str, &str) = ("System", "{4d36e97d-e325-11ce-bfc1-08002be10318}");
    let is = |directive, wanted: &str| {
        version(inf, directive).is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    };
    fault_if(
        is("Class", SYSTEM.0) != is("ClassGuid", SYSTEM.1),
        "Class and ClassGuid are not of the same class",
    )
}

pub fn provider(inf: &Inf) -> Vec<String> {
    let provider = version(inf, "Provider").unwrap_or_default().to_lowercase();
    fault_if(
        provider.starts_with("microsoft"),
        "Provider is Microsoft, who did not write this",
    )
}

pub fn catalog(inf: &Inf) -> Vec<String> {
    let name = version(inf, "CatalogFile").unwrap_or_default();
    let sound = name
        .strip_suffix(".cat")
        .is_some_and(|name| !name.is_empty() && !name.contains(['\\', '/']));
    fault_if(!sound, "CatalogFile is not the name of a .cat file")
}

pub fn driver_date(inf: &Inf) -> Vec<String> {
    let date = version(inf, "DriverVer").unwrap_or_default();
    let parts: Vec<&str> = date.split('/').collect();
    let number = |index: usize, digits: usize| {
        parts
            .get(index)
            .filter(|part| part.len() == digits)
            .and_then(|part| part.parse::<u16>().ok())
            .unwrap_or_default()
    };
    let sound = parts.len() == 3
        && (1..=12).contains(&number(0, 2))
        && (1..=31).contains(&number(1, 2))
        && number(2, 4) >= 2006;
    fault_if(!sound, "the date of DriverVer is not MM/DD/YYYY")
}

pub fn driver_version(inf: &Inf) -> Vec<String> {
    let version = inf
        .section("Version")
        .and_then(|section| section.directives("DriverVer").next()?.value(1))
        .unwrap_or_default();
    let parts: Vec<&str> = version.split('.').collect();
    let sound = parts.len() == 4 && parts.iter().all(|part| part.parse::<u16>().is_ok());
    fault_if(!sound, "the version of DriverVer is not w.x.y.z")
}

pub fn is_complete(inf: &Inf) -> Vec<String> {
    ["Class", "ClassGuid", "Provider", "CatalogFile", "DriverVer"]
        .iter()
        .filter(|directive| version(inf, directive).is_none_or(|value| value.is_empty()))
        .map(|directive| format!("[Version] has no {directive}"))
        .collect()
}

pub fn lockdown(inf: &Inf) -> Vec<String> {
    fault_if(
        version(inf, "PnpLockdown").as_deref() != Some("1"),
        "[Version] has no PnpLockdown = 1",
    )
}
