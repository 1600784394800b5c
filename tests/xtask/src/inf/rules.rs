//! Microsoft's rules for an INF that Windows installs as a primitive driver and that gets a signature
//! from them (`InfVerif /h`), as far as they touch an INF like TlsGate's.
//!
//! Each rule has the number of `InfVerif`'s message where there is one (windows-driver-docs,
//! devtest/inf-validation-errors-and-warnings) and the page of windows-driver-docs that it is from.
//! Of what `InfVerif /h` still lets pass (`devtest/infverif_h`) nothing is let pass here: all of driver
//! package isolation is asked for. `InfVerif` itself runs on Windows, in `cargo make`.

use super::{
    file::{Inf, Line, Section},
    version,
};

/// A rule, and how to find what breaks it.
pub struct Rule {
    /// `InfVerif`'s number of the message, or what it is about.
    pub name: &'static str,
    /// Where it is written down.
    page: &'static str,
    faults: fn(&Inf) -> Vec<String>,
}

const fn rule(name: &'static str, page: &'static str, faults: fn(&Inf) -> Vec<String>) -> Rule {
    Rule { name, page, faults }
}

/// Messages about the text as such: it cannot be looked at further.
const ENCODING: &str = "1003";
const SYNTAX: &str = "1002";

/// The rules.
pub const RULES: [Rule; 27] = [
    rule("1001", "install/inf-version-section", version::signature),
    rule("1010", "install/inf-version-section", version::class_guid),
    rule("1100", "install/using-dirids", renamed_files),
    rule(
        "1203",
        "install/general-syntax-rules-for-inf-files",
        lost_sections,
    ),
    rule(
        "1204",
        "devtest/inf-validation-errors-and-warnings",
        version::provider,
    ),
    rule("1209", "devtest/inf-validation-errors-and-warnings", twice),
    rule("1213", "install/inf-version-section", listed_catalogs),
    rule("1214", "install/inf-version-section", version::catalog),
    rule(
        "1217",
        "install/inf-driverver-directive",
        version::driver_version,
    ),
    rule(
        "1218",
        "install/inf-driverver-directive",
        version::driver_date,
    ),
    rule("1230", "install/inf-sourcedisksfiles-section", lost_files),
    rule(
        "1233",
        "develop/creating-a-primitive-driver",
        version::is_complete,
    ),
    rule("1235", "install/inf-strings-section", lost_strings),
    rule("1254", "develop/run-from-driver-store", service_binary),
    rule("1273", "install/inf-sourcedisksfiles-section", lost_disks),
    rule("1274", "devtest/stampinf", unstamped),
    rule(
        "1281",
        "install/system-defined-device-setup-classes-available-to-vendors",
        version::class,
    ),
    rule(
        "1289",
        "install/inf-addservice-directive",
        service_is_complete,
    ),
    rule(
        "1301",
        "install/using-a-universal-inf-file",
        legacy_directives,
    ),
    rule("1320", "develop/driver-isolation", registry_roots),
    rule("1322", "develop/driver-isolation", destinations),
    rule("1323", "develop/driver-isolation", service_keys),
    rule("1324", "install/inf-version-section", version::lockdown),
    rule("1420", "develop/creating-a-primitive-driver", not_primitive),
    rule("1421", "develop/creating-a-primitive-driver", undecorated),
    rule("1423", "develop/creating-a-primitive-driver", no_entrance),
    rule(
        "service flags",
        "install/inf-addservice-directive",
        service_flags,
    ),
];

/// What breaks a rule, a line each.
pub fn faults(text: &str) -> Vec<String> {
    if !text.is_ascii() {
        return vec![format!("{ENCODING}: neither ANSI nor UTF-16")];
    }
    let inf = match Inf::parse(text) {
        Ok(inf) => inf,
        Err(error) => return vec![format!("{SYNTAX}: {error:#}")],
    };
    RULES
        .iter()
        .flat_map(|rule| {
            (rule.faults)(&inf)
                .into_iter()
                .map(|fault| format!("{}: {fault} ({})", rule.name, rule.page))
        })
        .collect()
}

/// The one fault of a rule, if it is broken.
pub fn fault_if(broken: bool, fault: &str) -> Vec<String> {
    broken.then(|| fault.to_owned()).into_iter().collect()
}

fn listed_catalogs(inf: &Inf) -> Vec<String> {
    source_files(inf)
        .filter(|(name, _)| name.to_lowercase().ends_with(".cat"))
        .map(|(name, _)| format!("{name} is in [SourceDisksFiles]"))
        .collect()
}

fn twice(inf: &Inf) -> Vec<String> {
    let names: Vec<String> = names(inf).collect();
    names
        .iter()
        .enumerate()
        .filter(|(index, name)| names[..*index].contains(name))
        .map(|(_, name)| format!("[{name}] is there twice"))
        .collect()
}

fn unstamped(inf: &Inf) -> Vec<String> {
    inf.sections
        .iter()
        .filter(|section| section.name.contains('$'))
        .map(|section| format!("[{}] was not stamped", section.name))
        .collect()
}

/// Directives that name sections, and the first value that is such a name.
const DIRECTIVES_TO_SECTIONS: [(&str, usize); 3] =
    [("AddReg", 0), ("CopyFiles", 0), ("AddService", 2)];

/// The sections that a directive names.
fn named<'a>(inf: &'a Inf, directive: &'a str) -> impl Iterator<Item = &'a str> {
    let first = DIRECTIVES_TO_SECTIONS
        .iter()
        .find(|(name, _)| *name == directive)
        .map_or(0, |(_, first)| *first);
    // A service has one section, the others take any number.
    let most = if first == 0 { usize::MAX } else { 1 };
    lines(inf)
        .filter(move |line| line.is(directive))
        .flat_map(move |line| line.values.iter().skip(first).take(most))
        .filter(|name| !name.is_empty() && !name.starts_with('@'))
        .map(String::as_str)
}

fn lines(inf: &Inf) -> impl Iterator<Item = &Line> {
    inf.sections.iter().flat_map(|section| &section.lines)
}

fn lost_sections(inf: &Inf) -> Vec<String> {
    DIRECTIVES_TO_SECTIONS
        .iter()
        .flat_map(|(directive, _)| named(inf, directive))
        .filter(|name| inf.section(name).is_none())
        .map(|name| format!("there is no [{name}]"))
        .collect()
}

/// The sections that a directive names and that are there.
fn sections<'a>(inf: &'a Inf, directive: &'a str) -> impl Iterator<Item = &'a Section> {
    named(inf, directive).filter_map(|name| inf.section(name))
}

fn lost_strings(inf: &Inf) -> Vec<String> {
    inf.sections
        .iter()
        .filter(|section| !section.name.eq_ignore_ascii_case("Strings"))
        .flat_map(|section| &section.lines)
        .flat_map(|line| &line.values)
        .filter_map(|value| inf.text(value).err())
        .map(|token| format!("[Strings] has no {token}"))
        .collect()
}

/// Files that `CopyFiles` copies: name at the destination, name at the source.
fn copied(inf: &Inf) -> impl Iterator<Item = (&str, Option<&str>)> {
    sections(inf, "CopyFiles")
        .flat_map(|section| &section.lines)
        .filter_map(|line| Some((line.value(0)?, line.value(1))))
}

/// Files of `[SourceDisksFiles]` and the disk that each is on.
fn source_files(inf: &Inf) -> impl Iterator<Item = (&str, Option<&str>)> {
    inf.sections
        .iter()
        .filter(|section| section.name.to_lowercase().starts_with("sourcedisksfiles"))
        .flat_map(|section| &section.lines)
        .filter_map(|line| Some((line.directive.as_deref()?, line.value(0))))
}

fn lost_files(inf: &Inf) -> Vec<String> {
    copied(inf)
        .map(|(destination, source)| source.unwrap_or(destination))
        .filter(|file| !source_files(inf).any(|(name, _)| name.eq_ignore_ascii_case(file)))
        .map(|file| format!("[SourceDisksFiles] has no {file}"))
        .collect()
}

fn lost_disks(inf: &Inf) -> Vec<String> {
    let disks = inf.section("SourceDisksNames");
    source_files(inf)
        .filter(|(_, disk)| {
            disk.is_none_or(|disk| disks.is_none_or(|disks| disks.value(disk).is_none()))
        })
        .map(|(file, _)| format!("{file} is on no disk of [SourceDisksNames]"))
        .collect()
}

fn renamed_files(inf: &Inf) -> Vec<String> {
    copied(inf)
        .filter(|(destination, source)| source.is_some_and(|source| source != *destination))
        .map(|(destination, _)| format!("{destination} has another name in the package"))
        .collect()
}

fn destinations(inf: &Inf) -> Vec<String> {
    let Some(section) = inf.section("DestinationDirs") else {
        return vec!["there is no [DestinationDirs]".to_owned()];
    };
    section
        .lines
        .iter()
        .filter(|line| line.values != ["13"])
        .map(|line| format!("[DestinationDirs] has {line:?}, not directory 13"))
        .collect()
}

fn registry_roots(inf: &Inf) -> Vec<String> {
    sections(inf, "AddReg")
        .flat_map(|section| &section.lines)
        .filter(|line| {
            !line
                .value(0)
                .is_some_and(|root| root.eq_ignore_ascii_case("HKR"))
        })
        .map(|line| format!("{line:?} is not below HKR"))
        .collect()
}

/// Of a service, HKR is its own key.
fn service_keys(inf: &Inf) -> Vec<String> {
    sections(inf, "AddService")
        .flat_map(|service| service.directives("AddReg"))
        .flat_map(|line| &line.values)
        .filter_map(|name| inf.section(name))
        .flat_map(|section| &section.lines)
        .filter(|line| {
            let key = line.value(1).unwrap_or_default().to_lowercase();
            key != "parameters" && !key.starts_with("parameters\\")
        })
        .map(|line| format!("{line:?} is not below Parameters"))
        .collect()
}

fn service_is_complete(inf: &Inf) -> Vec<String> {
    sections(inf, "AddService")
        .flat_map(|service| {
            ["ServiceType", "StartType", "ErrorControl", "ServiceBinary"]
                .into_iter()
                .filter(|directive| service.value(directive).is_none())
                .map(|directive| format!("[{}] has no {directive}", service.name))
        })
        .collect()
}

/// The service's file is one that the INF copies, where it copies it to.
fn service_binary(inf: &Inf) -> Vec<String> {
    sections(inf, "AddService")
        .filter_map(|service| service.value("ServiceBinary"))
        .filter(|binary| {
            !binary
                .strip_prefix("%13%\\")
                .is_some_and(|file| copied(inf).any(|(name, _)| name == file))
        })
        .map(|binary| format!("{binary} is no file of the package in directory 13"))
        .collect()
}

fn legacy_directives(inf: &Inf) -> Vec<String> {
    const REFUSED: [&str; 13] = [
        "BitReg",
        "DelFiles",
        "DelProperty",
        "DelReg",
        "DelService",
        "Ini2Reg",
        "LogConfig",
        "ProfileItems",
        "RegisterDlls",
        "RenFiles",
        "UnregisterDlls",
        "UpdateIniFields",
        "UpdateInis",
    ];
    lines(inf)
        .filter(|line| REFUSED.iter().any(|refused| line.is(refused)))
        .map(|line| format!("{line:?} does more than add"))
        .collect()
}

/// Names of sections, in lower case.
fn names(inf: &Inf) -> impl Iterator<Item = String> {
    inf.sections
        .iter()
        .map(|section| section.name.to_lowercase())
}

/// A primitive driver has no device, and Windows removes it without being told how.
fn not_primitive(inf: &Inf) -> Vec<String> {
    names(inf)
        .filter(|name| name == "manufacturer" || name.split('.').next() == Some("defaultuninstall"))
        .map(|name| format!("it has [{name}]"))
        .collect()
}

fn undecorated(inf: &Inf) -> Vec<String> {
    names(inf)
        .filter(|name| name == "defaultinstall" || name == "defaultinstall.services")
        .map(|name| format!("[{name}] has no architecture"))
        .collect()
}

fn no_entrance(inf: &Inf) -> Vec<String> {
    fault_if(
        !names(inf).any(|name| name == "defaultinstall.ntamd64"),
        "it has no [DefaultInstall.NTamd64]",
    )
}

/// The flags are for services of devices, and for files that an older package has left.
fn service_flags(inf: &Inf) -> Vec<String> {
    lines(inf)
        .filter(|line| line.is("AddService") && line.value(1).is_some())
        .map(|line| format!("{line:?} has flags"))
        .collect()
}
