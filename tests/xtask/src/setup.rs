//! Sets up what is missing on a fresh machine: Debian's packages and Rust's libraries for Windows.

use std::{fs, process::Command};

use anyhow::Result;

use crate::{
    apt,
    layout::Layout,
    libraries::{self, Origin},
    process,
    step::Steps,
    toolchain::Toolchain,
};

/// What drivers are built with: bindgen's clang, and the kernel's headers.
const FOR_DRIVERS: [&str; 3] = ["clang-14", "libclang1-14", "mingw-w64-x86-64-dev"];
/// What Windows programs and the host's tests are built with.
const FOR_PROGRAMS: [&str; 5] = [
    "gcc",
    "gcc-mingw-w64-x86-64-posix",
    "libc6-dev",
    "libssl-dev",
    "pkg-config",
];
/// The machine under test.
const FOR_THE_LAB: [&str; 2] = ["wine", "wine64"];
/// TLS by others, to test against.
const PEERS: [&str; 7] = [
    "curl",
    "gnutls-bin",
    "openssl",
    "python3",
    "python3-venv",
    "sslscan",
    "testssl.sh",
];

/// What the scripted peer needs of Python's packages.
const PYTHON_PACKAGES: &str = "tests/e2e/suites/requirements.txt";

/// Signs the driver for test machines.
const FOR_THE_PACKAGE: [&str; 1] = ["osslsigncode"];

/// Counts instructions.
const FOR_FIGURES: [&str; 1] = ["valgrind"];

/// Debian's packages that are needed.
pub fn packages() -> Vec<&'static str> {
    [
        FOR_DRIVERS.as_slice(),
        &FOR_PROGRAMS,
        &FOR_THE_LAB,
        &PEERS,
        &FOR_THE_PACKAGE,
        &FOR_FIGURES,
    ]
    .concat()
}

/// Sets up what is missing and gives the compiler to use.
pub fn ensure(layout: &Layout, steps: &Steps, asked: Option<Origin>) -> Result<Toolchain> {
    let missing = apt::missing(&packages())?;
    if !missing.is_empty() {
        steps.step(&format!("install {}", missing.join(" ")), |step| {
            apt::install(&missing, step)
        })?;
    }
    tlslite(layout, steps)?;
    if let Some((_, toolchain)) = libraries::prepared(layout, asked)? {
        return Ok(toolchain);
    }
    steps.step("get Rust's libraries for Windows", |step| {
        libraries::prepare(layout, asked, step)
    })
}

/// A Python of its own with tlslite-ng, in `target/setup/tlslite`.
fn tlslite(layout: &Layout, steps: &Steps) -> Result<()> {
    let wanted = layout.root().join(PYTHON_PACKAGES);
    let folder = layout.setup().join("tlslite");
    // Written last: what it says is there.
    let present = folder.join("requirements.txt");
    let text = fs::read_to_string(&wanted)?;
    if fs::read_to_string(&present).is_ok_and(|it| it == text) {
        return Ok(());
    }
    steps.step("get tlslite-ng for Python", |step| {
        let mut venv = Command::new("python3");
        process::run(venv.args(["-m", "venv", "--clear"]).arg(&folder), step)?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--require-hashes", "-r"]);
        process::run(pip.arg(&wanted), step)?;
        Ok(fs::write(&present, text)?)
    })
}
