//! The documents: every command in them is run by a test, or says that it is not; and lists of files are
//! complete.
#![cfg(test)]

use crate::{Arguments, Verb, layout::Layout, readme};
use clap::Parser;
use std::{collections::BTreeSet, fs, path::Path};
use tlsgate_e2e::documents::{self, Command};

/// What runs a command.
enum Proof {
    /// `cargo xtask test` does the same: this is in its source.
    PartOfTest(&'static str),
    /// This test runs it, or reads it from the document.
    Test(&'static str),
    /// Nothing here: it needs Windows.
    Windows,
    /// Nothing here: it takes too long, and runs tests that `cargo xtask test` runs, too.
    TooLong,
}

/// What runs a command, or why it is no good.
fn proof(layout: &Layout, command: &Command) -> Result<Proof, String> {
    let words = command.words();
    match words[..] {
        ["cargo", "xtask", ..] => Arguments::try_parse_from(&words[1..])
            .map(|arguments| xtask(&arguments.verb))
            .or_else(|error| match error.kind() {
                clap::error::ErrorKind::DisplayHelp => Ok(Proof::Test("the_help_has_every_verb")),
                _ => Err(error.to_string()),
            }),
        ["cargo", "test", ..] => cargo_test(layout, &words[2..]),
        [
            "cargo",
            "run",
            "-p",
            "tlsgate-client",
            "--example",
            name,
            ..,
        ] => example(layout, name),
        ["curl", ..] if command.section == IN_A_PROGRAM => Ok(EXAMPLES),
        ["cargo", "fmt", "--all"] => Ok(Proof::PartOfTest("[\"--all\", \"--check\"]")),
        ["cargo", "doc", ..] => Ok(Proof::PartOfTest("\"doc\"")),
        ["cargo", "make", ..] => make(layout, words.get(2).unwrap_or(&"default")),
        ["tlsgate" | "curl", ..] if command.section == ON_THE_MACHINE => {
            Ok(Proof::Test("the_readmes_commands_work_on_the_machine"))
        }
        ["tlsgate", ..] => Ok(Proof::Test("the_documents_commands_are_parsed")),
        [program, ..] if documents::is_script(program) => script(layout, program, &words),
        _ if FOR_WINDOWS.contains(&&*command.document)
            || ["powershell", "bat"].contains(&&*command.shell) =>
        {
            Ok(Proof::Windows)
        }
        _ => Err("nothing runs it".to_owned()),
    }
}

/// The section of the README whose commands are run in the lab.
const ON_THE_MACHINE: &str = "On the machine";

/// The section of the README that runs the library's examples, and what does so in the lab.
const IN_A_PROGRAM: &str = "In a program";
const EXAMPLES: Proof = Proof::Test("the_examples_do_what_they_say");

/// What someone with a Windows machine follows.
const FOR_WINDOWS: [&str; 2] = ["inf/GUIDE.md", "tests/taef/README.md"];

/// A new verb has no proof until it is written here.
fn xtask(verb: &Verb) -> Proof {
    match verb {
        Verb::Setup { .. } => Proof::PartOfTest("Tools::ready(&layout, &steps)"),
        Verb::Build { .. } => Proof::PartOfTest("build::all(layout, tools, steps)"),
        Verb::Package => Proof::PartOfTest("the packaged driver"),
        Verb::Demo { .. } => Proof::PartOfTest("demo::show"),
        Verb::Test { mutants: None } => Proof::PartOfTest("pub fn all"),
        Verb::Test { mutants: Some(_) }
        | Verb::Variants { .. }
        | Verb::PolicyMutants { .. }
        | Verb::Fuzz { .. }
        | Verb::Bench(_)
        | Verb::Isolation
        | Verb::Suites => Proof::TooLong,
        Verb::Soak { .. } => Proof::PartOfTest("soak::Beside::start"),
        Verb::Faults(_) => {
            Proof::Test("whatever_goes_wrong_leaves_nothing_and_the_next_handshake_works")
        }
        Verb::Rules => Proof::PartOfTest("rules::report"),
        Verb::Doctor => Proof::Test("the_doctor_reports_to_the_end"),
    }
}

/// `cargo test`: the package, its test binary and the test that is named exist.
fn cargo_test(layout: &Layout, words: &[&str]) -> Result<Proof, String> {
    let after = |option: &str| {
        let at = words.iter().position(|word| *word == option)?;
        words.get(at + 1).copied()
    };
    let package = after("-p").ok_or("no package")?;
    let runs = fs::read_to_string(layout.root().join("tests/xtask/src/test.rs")).unwrap();
    if !runs.contains(&format!("\"{package}\"")) {
        return Err(format!("`cargo xtask test` does not test {package}"));
    }
    let folder = match package {
        "tlsgate-bench" => "tests/bench",
        "tlsgate-client" => "tests/client",
        "tlsgate-core" => "driver/core",
        "tlsgate-fuzz" => "tests/fuzz",
        "tlsgate-protocol" => "driver/protocol",
        "tlsgate-e2e" => "tests/e2e",
        "xtask" => "tests/xtask",
        other => return Err(format!("where is {other}?")),
    };
    if let Some(binary) = after("--test") {
        let tests = layout.root().join(folder).join("tests");
        let exists = tests.join(format!("{binary}.rs")).is_file()
            || tests.join(binary).join("main.rs").is_file();
        if !exists {
            return Err(format!("{folder} has no tests {binary}"));
        }
    }
    let options = ["-p", "--test"];
    let filter = words
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(at, word)| !word.starts_with('-') && !options.contains(&words[at - 1]))
        .map(|(_, word)| *word)
        .next();
    let names = readme::tests_in(&layout.root().join(folder));
    match filter {
        Some(filter) if !names.iter().any(|name| name.contains(filter)) => {
            Err(format!("{folder} has no test {filter}"))
        }
        _ => Ok(Proof::PartOfTest("host_tests")),
    }
}

/// An example that the lab runs.
fn example(layout: &Layout, name: &str) -> Result<Proof, String> {
    let tests = layout.root().join("tests/e2e/tests/library/examples.rs");
    let tests = fs::read_to_string(tests).map_err(|error| error.to_string())?;
    let is_run = tests.contains(&format!("\"{name}\""));
    is_run
        .then_some(EXAMPLES)
        .ok_or_else(|| format!("the lab does not run the example {name}"))
}

/// `cargo make`: its tasks exist, and those for Linux are commands of ours.
fn make(layout: &Layout, task: &str) -> Result<Proof, String> {
    let makefile = fs::read_to_string(layout.root().join("Makefile.toml")).unwrap();
    let makefile: toml::Table = makefile.parse().unwrap();
    let task = makefile["tasks"]
        .get(task)
        .ok_or_else(|| format!("no task {task}"))?;
    if task.get("condition").is_some() {
        return Ok(Proof::Windows);
    }
    let words: Vec<&str> = task["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(toml::Value::as_str)
        .filter(|word| *word != "${@}")
        .collect();
    Arguments::try_parse_from(words)
        .map(|arguments| xtask(&arguments.verb))
        .map_err(|error| error.to_string())
}

/// A script of ours exists, and has the parameters that it is given.
fn script(layout: &Layout, name: &str, words: &[&str]) -> Result<Proof, String> {
    let text = fs::read_to_string(layout.root().join("inf").join(name))
        .map_err(|error| format!("inf/{name}: {error}"))?;
    for parameter in words.iter().filter_map(|word| word.strip_prefix('-')) {
        let is_common = parameter == "WhatIf" && text.contains("SupportsShouldProcess");
        if !is_common && !text.contains(&format!("${parameter}")) {
            return Err(format!("{name} has no parameter {parameter}"));
        }
    }
    Ok(Proof::Windows)
}

#[test]
fn every_command_in_the_documents_is_run_or_says_that_it_is_not() {
    let layout = Layout::find().unwrap();
    let commands = documents::all(layout.root()).unwrap();
    assert!(commands.len() > 20, "too few: {commands:?}");
    let tests = readme::tests_in(layout.root());
    let mut ours = String::new();
    for file in ["main.rs", "test.rs"] {
        ours += &fs::read_to_string(layout.root().join("tests/xtask/src").join(file)).unwrap();
    }
    let mut faults = Vec::new();
    for command in &commands {
        let fault = match proof(&layout, command) {
            Ok(Proof::PartOfTest(source)) if ours.contains(source) => continue,
            Ok(Proof::PartOfTest(source)) => format!("`cargo xtask test` has no {source}"),
            Ok(Proof::Test(name)) if tests.contains(name) => continue,
            Ok(Proof::Test(name)) => format!("there is no test {name}"),
            Ok(Proof::Windows | Proof::TooLong) => continue,
            Err(fault) => fault,
        };
        let Command {
            document,
            line,
            text,
            ..
        } = command;
        faults.push(format!("{document}:{line}: {text}: {fault}"));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_readme_lists_every_ioctl() {
    let layout = Layout::find().unwrap();
    let golden = layout.root().join("driver/protocol/tests/abi.golden");
    let readme = fs::read_to_string(layout.root().join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## IOCTLs\n").unwrap();
    let names: BTreeSet<_> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .filter_map(|row| row.split('|').next())
        .flat_map(|names| names.split(','))
        .map(str::trim)
        .collect();
    for line in fs::read_to_string(golden).unwrap().lines() {
        if let Some(ioctl) = line.strip_prefix("ioctl ") {
            let name = ioctl.split(' ').next().unwrap();
            let name = crate::header::words(name).to_uppercase();
            assert!(names.contains(name.as_str()), "no row for {name}");
        }
    }
}

#[test]
fn the_doctor_reports_to_the_end() {
    crate::doctor::report(&Layout::find().unwrap()).unwrap();
}

#[test]
fn the_help_has_every_verb() {
    let help = <Arguments as clap::CommandFactory>::command()
        .render_help()
        .to_string();
    for verb in [
        "setup",
        "build",
        "demo",
        "test",
        "variants",
        "faults",
        "fuzz",
        "soak",
        "bench",
        "policy-mutants",
        "rules",
        "suites",
        "isolation",
        "doctor",
    ] {
        assert!(help.contains(verb), "{help}");
    }
}

/// Files below a folder, as the driver's README names them.
fn files(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files(&path, root, found);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            if !name.ends_with("_tests.rs") {
                found.insert(name.to_owned());
            }
        }
    }
}

#[test]
fn the_drivers_readme_names_every_file_once() {
    let driver = Layout::find().unwrap().root().join("driver");
    let mut present = BTreeSet::from(["build.rs".to_owned()]);
    for folder in [
        "build",
        "src",
        "core/src",
        "protocol/src",
        "protocol/include",
    ] {
        files(&driver.join(folder), &driver, &mut present);
    }
    let readme = fs::read_to_string(driver.join("README.md")).unwrap();
    let (_, table) = readme.split_once("\n## What each file is\n").unwrap();
    let mut named = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let files = row.split('|').nth(1).unwrap();
        for name in files.split('`').skip(1).step_by(2) {
            assert!(named.insert(name.to_owned()), "{name} is named twice");
        }
    }
    assert_eq!(named, present);
}

#[test]
fn every_file_and_folder_that_a_document_names_exists() {
    let layout = Layout::find().unwrap();
    let mut faults = Vec::new();
    for (document, text) in documents::texts(layout.root()).unwrap() {
        let path = layout.root().join(&document);
        for name in text.split('`').skip(1).step_by(2) {
            let is_path = name.contains('/')
                && name
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || b"/._-".contains(&it));
            let folders = [layout.root(), path.parent().unwrap()];
            if is_path
                // What is built, and options of Windows' own tools.
                && !name.starts_with("target/")
                && !name.starts_with('/')
                && !folders.iter().any(|folder| folder.join(name).exists())
            {
                faults.push(format!("{document}: {name}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
