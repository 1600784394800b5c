//! The client of tlslite-ng's that misbehaves: `tests/e2e/suites`.

use crate::{
    differences::Findings,
    pki::{Authority, Kind, Pki, Purpose},
};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

/// What becomes of its cases: `echo` sends back what it gets, `mutual` also demands a certificate; in
/// `identities` is what [`identities`] makes.
pub fn run(
    echo: SocketAddr,
    mutual: SocketAddr,
    identities: &Path,
    whole: bool,
) -> Result<Findings> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Also from a copy of the sources below the folder that was set up.
    let python = package
        .ancestors()
        .map(|folder| folder.join("target/setup/tlslite/bin/python"))
        .find(|python| python.exists())
        .context("there is no Python with tlslite-ng: `cargo xtask setup`")?;
    let output = Command::new(python)
        .arg(package.join("suites/run.py"))
        .args([echo.port().to_string(), mutual.port().to_string()])
        .arg(identities)
        .args(whole.then_some("--whole"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{complaint}");
    serde_json::from_slice(&output.stdout).with_context(|| complaint.into_owned())
}

/// Who clients can be: a file each, with certificate and key.
pub fn identities(pki: &Pki<'_>, folder: &Path) -> Result<()> {
    let stranger = Authority::new("A stranger's authority")?;
    for (name, authority, kind, purpose) in [
        ("rsa", &pki.trusted, Kind::Rsa, Purpose::Client),
        ("ecdsa", &pki.trusted, Kind::Ecdsa, Purpose::Client),
        ("server", &pki.trusted, Kind::Rsa, Purpose::Server),
        ("expired", &pki.trusted, Kind::Rsa, Purpose::ExpiredServer),
        ("stranger", &stranger, Kind::Rsa, Purpose::Client),
    ] {
        let identity = authority.issue("client.test", kind, purpose)?;
        fs::write(folder.join(format!("{name}.pem")), identity.pem()?)?;
    }
    Ok(())
}
