//! The driver's functions by the offsets in its image: from the link map of the package.

use anyhow::{Context, Result};
use std::{collections::BTreeMap, fs};
use tlsgate_lab_control::kmdf::Site;
use tlsgate_lab_machine::Layout;

/// Where the map says that the image would like to be loaded.
const PREFERRED: &str = "Preferred load address is ";

/// The same sites with functions for offsets.
pub fn named(sites: BTreeMap<String, Site>) -> Result<BTreeMap<String, Site>> {
    let file = Layout::of_workspace().package.join("tlsgate.map");
    let map = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let functions = functions(&map).context("not a link map")?;
    let name = |frames: String| {
        let names: Vec<_> = frames
            .split(" < ")
            .map(|frame| function(&functions, frame))
            .collect();
        names.join(" < ")
    };
    Ok(sites
        .into_iter()
        .map(|(frames, site)| (name(frames), site))
        .collect())
}

/// Where each begins.
fn functions(map: &str) -> Option<BTreeMap<u64, String>> {
    let base = map
        .lines()
        .find_map(|line| line.trim().strip_prefix(PREFERRED))?;
    let base = u64::from_str_radix(base, 16).ok()?;
    let found = map.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (_section, name, address) = (words.next()?, words.next()?, words.next()?);
        let at = u64::from_str_radix(address, 16).ok()?.checked_sub(base)?;
        Some((at, format!("{:#}", rustc_demangle::demangle(name))))
    });
    Some(found.collect())
}

fn function(functions: &BTreeMap<u64, String>, frame: &str) -> String {
    let offset = frame
        .strip_prefix("0x")
        .and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let begun = offset.and_then(|offset| functions.range(..=offset).next_back());
    match (offset, begun) {
        (Some(offset), Some((at, name))) => format!("{name}+{:#x}", offset - at),
        _ => frame.to_owned(),
    }
}

#[test]
fn offsets_are_named_by_the_function_they_are_in() {
    let map = " Preferred load address is 0000000180000000\n\n  Address  Publics by Value  Rva+Base\n\n \
               0001:00000040  _ZN7tlsgate7issuers3run17hf415242d0d640203E 0000000180001040     a.o\n \
               0001:00000100  DriverEntry  0000000180001100     a.o\n";
    let functions = functions(map).unwrap();
    assert_eq!(function(&functions, "0x1044"), "tlsgate::issuers::run+0x4");
    assert_eq!(function(&functions, "0x1100"), "DriverEntry+0x0");
    assert_eq!(function(&functions, "0x3"), "0x3");
}
