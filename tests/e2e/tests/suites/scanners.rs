//! testssl.sh and sslscan: what they find of a server with a page.

use crate::differences::Findings;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Output, Stdio},
};

/// The parts of testssl.sh that are quick: protocols, the server's defaults and preference, forward secrecy,
/// renegotiation, fallback.
const SHORT: [&str; 6] = ["-p", "-S", "-P", "-f", "-R", "-Z"];

/// All parts that look at TLS. HTTP is not what is compared.
const WHOLE: [&str; 10] = ["-p", "-s", "-S", "-P", "-E", "-f", "-g", "-c", "-4", "-U"];

/// A finding of testssl.sh.
#[derive(Deserialize)]
struct Finding {
    id: String,
    severity: String,
    #[serde(rename = "finding")]
    said: String,
}

/// Findings that are chance: how long it took, and whether its client waits for a ticket before it ends.
/// Resumption has tests of its own.
const CHANCE: [&str; 3] = [
    "scanTime",
    "sessionresumption_ticket",
    "sessionresumption_ID",
];

/// What testssl.sh finds; `authority` is a file with what it is to trust.
pub fn testssl(server: SocketAddr, authority: &Path, whole: bool) -> Result<Findings> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("findings.json");
    let mut testssl = Command::new("testssl");
    testssl
        .args(["--quiet", "--color", "0", "--warnings", "batch"])
        .args(["--nodns", "none", "--sneaky", "--add-ca"])
        .arg(authority)
        .arg("--jsonfile")
        .arg(&file)
        .args(if whole { &WHOLE[..] } else { &SHORT })
        .arg(format!("https://{server}/"));
    // Its exit code counts what it could not try.
    let said = run(&mut testssl)?;
    let json = fs::read_to_string(&file).with_context(|| said.clone())?;
    let found: Vec<Finding> = serde_json::from_str(&json).with_context(|| said.clone())?;
    let mut findings = Findings::new();
    for Finding { id, severity, said } in found {
        if !CHANCE.contains(&&*id) {
            let before = findings.entry(format!("testssl.sh: {id}")).or_default();
            *before = format!("{before}{severity}: {said}\n");
        }
    }
    ensure!(findings.contains_key("testssl.sh: TLS1_3"), "{said}");
    Ok(findings)
}

/// What sslscan finds, a case a line.
pub fn sslscan(server: SocketAddr) -> Result<Findings> {
    let mut sslscan = Command::new("sslscan");
    sslscan
        .args(["--no-colour", "--show-certificate", "--xml=-"])
        .arg(server.to_string());
    let said = run(&mut sslscan)?;
    ensure!(said.contains("<cipher status=\"preferred\""), "{said}");
    let lines = said.lines().map(str::trim);
    Ok(lines
        .filter(|line| !line.starts_with("<ssltest "))
        .map(|line| (format!("sslscan: {line}"), "said".to_owned()))
        .collect())
}

/// Everything that it says.
fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let Output { stdout, stderr, .. } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} is not installed: `cargo xtask setup`"))?;
    Ok(String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}
