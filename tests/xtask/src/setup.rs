//! Sets up what is missing on a fresh machine: Debian's packages and Rust's libraries for Windows.

use anyhow::Result;

use crate::{
    apt,
    layout::Layout,
    libraries::{self, Origin},
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
const PEERS: [&str; 4] = ["curl", "gnutls-bin", "openssl", "python3"];

/// Signs the driver for test machines.
const FOR_THE_PACKAGE: [&str; 1] = ["osslsigncode"];

/// Debian's packages that are needed.
pub fn packages() -> Vec<&'static str> {
    [
        FOR_DRIVERS.as_slice(),
        &FOR_PROGRAMS,
        &FOR_THE_LAB,
        &PEERS,
        &FOR_THE_PACKAGE,
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
    if let Some((_, toolchain)) = libraries::prepared(layout, asked)? {
        return Ok(toolchain);
    }
    steps.step("get Rust's libraries for Windows", |step| {
        libraries::prepare(layout, asked, step)
    })
}
