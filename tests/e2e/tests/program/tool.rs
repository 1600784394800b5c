//! Runs the program, and other people's programs that it is held against.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Stdio},
};
use tlsgate_e2e::PROGRAM;
use tlsgate_lab_machine::{Machine, Output};

/// Runs the program; it must end with this exit code.
pub fn ends_with(machine: &Machine, code: i32, arguments: &[&str]) -> Result<Output> {
    let output = machine.run(PROGRAM, arguments)?;
    ensure!(
        output.code == Some(code),
        "tlsgate {arguments:?} ended with {:?}, not {code}:\n{}{}",
        output.code,
        output.stdout,
        output.stderr
    );
    Ok(output)
}

/// Runs the program, which must do it; gives its standard output.
pub fn done(machine: &Machine, arguments: &[&str]) -> Result<String> {
    Ok(ends_with(machine, 0, arguments)?.stdout)
}

/// Runs the program, which must fail with this exit code and all of these words in its message.
pub fn fails(machine: &Machine, code: i32, arguments: &[&str], words: &[&str]) -> Result<()> {
    let output = ends_with(machine, code, arguments)?;
    for word in words {
        ensure!(
            output.stderr.contains(word),
            "tlsgate {arguments:?} does not say {word:?}:\n{}",
            output.stderr
        );
    }
    Ok(())
}

/// Runs the program with `--json`, and reads what it prints.
pub fn json(machine: &Machine, code: i32, arguments: &[&str]) -> Result<Value> {
    let arguments = [arguments, &["--json"]].concat();
    parse(&ends_with(machine, code, &arguments)?.stdout)
}

/// Reads JSON.
pub fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| format!("not JSON: {text}"))
}

/// Makes sure of what lies at a path of names and numbers.
pub fn is(json: &Value, path: &str, expected: impl Into<Value>) -> Result<()> {
    let (found, expected) = (json.pointer(path), expected.into());
    ensure!(
        found == Some(&expected),
        "{path} is {found:?}, not {expected}: {json:#}"
    );
    Ok(())
}

/// The text at a path.
pub fn text<'a>(json: &'a Value, path: &str) -> Result<&'a str> {
    let found = json.pointer(path).and_then(Value::as_str);
    found.with_context(|| format!("no text at {path}: {json:#}"))
}

/// The number at a path.
pub fn number(json: &Value, path: &str) -> Result<u64> {
    let found = json.pointer(path).and_then(Value::as_u64);
    found.with_context(|| format!("no number at {path}: {json:#}"))
}

/// A program of the host in a folder, which must succeed; gives its standard output.
pub fn host(folder: &Path, program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} is not installed"))?;
    if !output.status.success() {
        bail!(
            "{program} {arguments:?} failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The SHA-1 that OpenSSL tells of a certificate's file, as `tlsgate` prints it.
pub fn thumbprint(folder: &Path, certificate: &str) -> Result<String> {
    let arguments = [
        "x509",
        "-in",
        certificate,
        "-noout",
        "-fingerprint",
        "-sha1",
    ];
    let said = host(folder, "openssl", &arguments)?;
    let (_, digits) = said.trim().split_once('=').context("no fingerprint")?;
    Ok(digits.replace(':', ""))
}
