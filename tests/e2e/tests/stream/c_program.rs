//! The program in C (`tests/c/handshake.c`), which knows the driver by its checked-in header alone.

use crate::{
    client::{Client, VERSIONS, is_the_lab_s},
    flights::{cut_last, pieces, whole},
    site::each_completion_alone,
    socket,
};
use anyhow::{Context, Result, ensure};
use openssl::ssl::SslVersion;
use std::{
    io::{self, Read},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
};
use tlsgate_e2e::Lab;
use tlsgate_lab_machine::Running;

const PROGRAM: &str = r"C:\lab\handshake.exe";

/// As `s_client -state` tells it.
const CLOSE_NOTIFY: &str = "SSL3 alert read:warning:close notify";

const LINE: &str = "Hello from C, over a TLS connection that the kernel made.";

#[test]
fn a_program_in_c_shakes_hands_says_a_line_and_ends_clean() -> Result<()> {
    each_completion_alone("program in C", |lab| {
        for (option, wire) in [("-tls1_3", 0x0304), ("-tls1_2", 0x0303)] {
            let said = s_client(lab, option, wire).context(option)?;
            ensure!(said.contains(CLOSE_NOTIFY), "no close_notify: {said}");
        }
        // A Windows that makes no close_notify does the program no harm.
        lab.switch(|switches| switches.out_of_band_alert = false)?;
        let said = s_client(lab, "-tls1_3", 0x0304)?;
        ensure!(!said.contains(CLOSE_NOTIFY), "close_notify: {said}");
        lab.switch(|switches| switches.out_of_band_alert = true)?;
        // Each leg with less than a record, with a record and a part, and with several.
        for version in VERSIONS {
            client(lab, version, |socket, _, flight| {
                pieces(socket, flight.chunks(100))
            })?;
            client(lab, version, |socket, number, flight| match number {
                0 => cut_last(socket, flight, 1),
                _ => cut_last(socket, flight, 7),
            })?;
            client(lab, version, whole)?;
        }
        refused(lab)
    })
}

/// The program with a certificate, on a port of the system's choosing.
fn start(lab: &Lab, thumbprint: &str) -> Result<(Running, SocketAddr)> {
    let running = lab.machine().spawn(PROGRAM, &[thumbprint, "0"])?;
    let address = running.line_after("listening on ")?.parse()?;
    Ok((running, address))
}

/// What the program says was negotiated, once it has ended as it should.
fn ended(running: Running) -> Result<String> {
    let said = running.line();
    let complaint = running.stderr()?;
    let code = running.end()?;
    ensure!(code == Some(0), "it ended with {code:?}: {complaint}");
    said
}

/// OpenSSL's program reads the line; gives what else it says.
fn s_client(lab: &Lab, option: &str, wire: u32) -> Result<String> {
    let (running, address) = start(lab, lab.thumbprint())?;
    let output = Command::new("openssl")
        .args(["s_client", "-quiet", "-state", option, "-connect"])
        .arg(address.to_string())
        .stdin(Stdio::null())
        .output()?;
    let line = String::from_utf8_lossy(&output.stdout);
    let states = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(line.trim_end() == LINE, "{line}{states}");
    let told = ended(running)?;
    ensure!(
        told.starts_with(&format!("protocol {wire:#x}, cipher suite 0x")),
        "{told}"
    );
    Ok(states)
}

/// OpenSSL's library, with its flights sent by `send`.
fn client<F>(lab: &Lab, version: SslVersion, send: F) -> Result<()>
where
    F: FnMut(&TcpStream, usize, &[u8]) -> io::Result<()>,
{
    let (running, address) = start(lab, lab.thumbprint())?;
    let mut stream = Client::new(version)?.connect(socket::connect(address)?, send)?;
    is_the_lab_s(&stream, lab)?;
    // An end without close_notify would be an error.
    let mut line = String::new();
    stream.read_to_string(&mut line)?;
    ensure!(line.trim_end() == LINE, "{line}");
    let cipher = stream.ssl().current_cipher().context("no cipher")?;
    let [high, low] = cipher.protocol_id();
    drop(stream);
    let told = ended(running)?;
    let suite = format!("cipher suite 0x{high:02x}{low:02x}");
    ensure!(told.ends_with(&suite), "{told}, not {suite}");
    Ok(())
}

/// Without the certificate there is no credential, and the program says why.
fn refused(lab: &Lab) -> Result<()> {
    let nobody = "00".repeat(20);
    let output = lab.machine().run(PROGRAM, &[&nobody, "0"])?;
    ensure!(
        output.code == Some(1) && output.stderr.contains("no credential: 0x8009030e"),
        "{output:?}"
    );
    Ok(())
}
