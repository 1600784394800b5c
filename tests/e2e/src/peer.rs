//! TLS peers by their command lines: OpenSSL's `s_client`, and curl.

use anyhow::{Context, Result, ensure};
use std::{
    net::SocketAddr,
    process::{Command, Stdio},
};

/// What OpenSSL's `s_client` says of a handshake with these further arguments, briefly.
///
/// # Errors
///
/// The handshake failed; the message has what it said.
pub fn openssl_client(address: SocketAddr, arguments: &[&str]) -> Result<String> {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string()])
        .args(["-servername", "localhost"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("openssl is not installed")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "openssl s_client failed:\n{said}");
    Ok(said)
}

/// The page that curl gets, with what it negotiated in front.
///
/// # Errors
///
/// curl failed; the message has what it said.
pub fn curl(address: SocketAddr, arguments: &[&str]) -> Result<String> {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--insecure", "--max-time", "30"])
        .args(arguments)
        .arg(format!("https://{address}/"))
        .stdin(Stdio::null())
        .output()
        .context("curl is not installed")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "curl failed: {complaint}{said}");
    Ok(said)
}
