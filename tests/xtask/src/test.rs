//! `cargo xtask test`: every check and test.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{
    bench,
    build::{self, Tools},
    demo, end_to_end, image,
    layout::Layout,
    package, process, rules, soak,
    step::{Step, Steps},
    toolchain::{MSVC, Toolchain},
};

/// Packages whose tests run on the host; the end-to-end tests come last, by themselves: see `end_to_end`.
const HOST_PACKAGES: [&str; 9] = [
    "tlsgate-bench",
    "tlsgate-client",
    "tlsgate-fuzz",
    "tlsgate-lab-control",
    "tlsgate-lab-kmdf",
    "tlsgate-lab-ksecdd",
    "tlsgate-lab-machine",
    "tlsgate-protocol",
    "xtask",
];

/// Runs all. What the lab needs is built first: the soak goes on beside everything else.
pub fn all(layout: &Layout, tools: &Tools, steps: &Steps) -> Result<()> {
    steps.step("formatting", |step| formatting(layout, step))?;
    build::all(layout, tools, steps)?;
    steps.step("the packaged driver", |_| image::package(layout))?;
    package::make(layout, steps)?;
    let soak = steps.step("begin a soak of five minutes", |step| {
        soak::Beside::start(layout, step)
    })?;
    beside_the_soak(layout, tools, steps)?;
    end_to_end::run(layout, steps, soak)?;
    // The stand-ins' own tests have passed, or nothing would have come so far.
    rules::report(layout, "cargo xtask test", |_| true)?;
    // What the README's first command does once all is built.
    demo::show(steps, false)
}

fn beside_the_soak(layout: &Layout, tools: &Tools, steps: &Steps) -> Result<()> {
    steps.step("clippy: host", |step| clippy_host(layout, step))?;
    if tools.toolchain.has_clippy() {
        clippy_windows(layout, tools, steps)?;
    } else {
        println!("           no clippy for Windows code: rustc-web has none");
    }
    steps.step("documentation", |step| documentation(layout, step))?;
    let packages: Vec<&str> = HOST_PACKAGES
        .iter()
        .flat_map(|package| ["-p", package])
        .collect();
    steps.loud("unit and property tests", || {
        host_tests(layout, &packages)?;
        host_tests(layout, &["-p", "tlsgate-e2e", "--lib"])
    })?;
    // Exploring every interleaving is slow work for an unoptimised build.
    let policy = ["--release", "-p", "tlsgate-core"];
    steps.loud("tests of the driver's policy", || {
        host_tests(layout, &policy)
    })?;
    steps.step("instructions of the driver's policy", |step| {
        bench::check_instructions(layout, step)
    })?;
    steps.step("the driver's build is reproducible", |step| {
        reproducible(layout, tools, step)
    })
}

/// Cargo for the host, with the installed compiler whatever builds for Windows.
pub fn host_cargo(folder: &Path, verb: &str) -> Command {
    let mut cargo = Command::new(Toolchain::installed_cargo());
    cargo.current_dir(folder).arg(verb);
    cargo
}

fn host_tests(layout: &Layout, arguments: &[&str]) -> Result<()> {
    process::run_loud(
        host_cargo(layout.root(), "test")
            .arg("--locked")
            .args(arguments),
    )
}

fn formatting(layout: &Layout, step: &Step) -> Result<()> {
    process::run(
        host_cargo(layout.root(), "fmt").args(["--all", "--check"]),
        step,
    )?;
    let packages = ["-p", "wdk-build", "-p", "wrong"];
    process::run(
        host_cargo(&layout.wdk(), "fmt")
            .args(packages)
            .arg("--check"),
        step,
    )
}

fn clippy_host(layout: &Layout, step: &Step) -> Result<()> {
    let others = ["tlsgate-core", "tlsgate-e2e", "tlsgate-instructions"];
    let packages = HOST_PACKAGES.iter().chain(&others);
    process::run(
        host_cargo(layout.root(), "clippy")
            .arg("--locked")
            .args(packages.flat_map(|package| ["-p", package]))
            .args(["--all-targets", "--", "-D", "warnings"]),
        step,
    )?;
    process::run(
        host_cargo(&layout.wdk(), "clippy")
            .args(["--locked", "-p", "wdk-build", "--", "-D", "warnings"])
            .env("CARGO_TARGET_DIR", layout.driver_target()),
        step,
    )
}

/// Rustdoc of what others read; a link that leads nowhere is a mistake.
fn documentation(layout: &Layout, step: &Step) -> Result<()> {
    let packages = ["tlsgate-client", "tlsgate-core", "tlsgate-protocol"];
    process::run(
        host_cargo(layout.root(), "doc")
            .args(["--locked", "--no-deps"])
            .args(packages.iter().flat_map(|package| ["-p", package]))
            .env("RUSTDOCFLAGS", "-D warnings"),
        step,
    )
}

fn clippy_windows(layout: &Layout, tools: &Tools, steps: &Steps) -> Result<()> {
    steps.step("clippy: Windows programs and stand-ins", |step| {
        let mut cargo = build::windows_cargo(layout, tools, "clippy");
        process::run(
            cargo
                .args(build::windows_packages())
                .args(["--", "-D", "warnings"]),
            step,
        )
    })?;
    steps.step("clippy: the stand-ins that measure", |step| {
        let mut cargo = build::bench_cargo(layout, tools, "clippy");
        process::run(cargo.args(["--", "-D", "warnings"]), step)
    })?;
    steps.step("clippy: drivers", |step| {
        let mut cargo = tools.wdk.cargo(layout, &tools.toolchain, "clippy")?;
        process::run(
            cargo.args(["-p", "tlsgate", "-p", "wrong", "--", "-D", "warnings"]),
            step,
        )
    })
}

/// Builds the driver from nothing in another folder, and compares it with the one of the package.
fn reproducible(layout: &Layout, tools: &Tools, step: &Step) -> Result<()> {
    let folder = layout.driver_target_again();
    // The compiled build scripts and macros may stay: what they make is thrown away.
    match fs::remove_dir_all(folder.join(MSVC)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let again = build::build_driver(layout, tools, "tlsgate", &folder, step)?;
    let first = digest(&layout.package().join("tlsgate.sys"))?;
    let second = digest(&again.join("tlsgate.dll"))?;
    if first != second {
        bail!("SHA-256 of the package's driver: {first}; of the one built again: {second}");
    }
    step.note(&format!("SHA-256 {first}"));
    Ok(())
}

fn digest(path: &Path) -> Result<String> {
    let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(format!("{:x}", Sha256::digest(data)))
}
