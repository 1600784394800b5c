//! `tlsgate connect`: what it tells of a server of OpenSSL's, for people and for scripts.

use crate::tool::{host, is, parse, thumbprint};
use anyhow::{Context, Result, ensure};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};
use tlsgate_e2e::{Lab, PROGRAM};

#[test]
fn a_connection_s_chain_and_session_are_told() -> Result<()> {
    let lab = Lab::start(&mut |_| {})?;
    let folder = tempfile::tempdir()?;
    let request = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "certificate.pem",
        "-days",
        "5",
        "-subj",
        "/O=Spoken to/CN=server.test",
        "-addext",
        "subjectAltName=DNS:server.test",
    ];
    host(folder.path(), "openssl", &request)?;
    let thumbprint = thumbprint(folder.path(), "certificate.pem")?;
    for (version, protocol) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
        let server = SServer::start(folder.path(), version)?;
        let connect = [
            "connect",
            &server.address,
            "--server-name",
            "server.test",
            "--manual-check",
            "--alpn",
            "h2,http/1.1",
        ];
        let json = [&connect[..], &["--json"]].concat();
        let said = lab.machine().run(PROGRAM, &json)?.success()?;
        ensure!(
            said.stdout.is_empty(),
            "the server said nothing: {}",
            said.stdout
        );
        let line = said.stderr.lines().find(|line| line.starts_with('{'));
        let report = parse(line.with_context(|| format!("no JSON: {}", said.stderr))?)?;
        is(&report, "/server", server.address.as_str())?;
        is(&report, "/address", server.address.as_str())?;
        is(&report, "/protocol", protocol)?;
        is(&report, "/alpn", "http/1.1")?;
        is(&report, "/resumed", false)?;
        // It was asked to let it pass, and tells that it should not.
        is(&report, "/check/good", false)?;
        is(&report, "/chain/0/thumbprint", thumbprint.as_str())?;
        is(&report, "/chain/0/subject", "O=Spoken to, CN=server.test")?;
        is(&report, "/chain/0/names/0", "server.test")?;
        is(&report, "/chain/0/valid_now", true)?;
        ensure!(report.pointer("/chain/1").is_none(), "{report:#}");

        let said = lab.machine().run(PROGRAM, &connect)?.success()?.stderr;
        for part in [
            "certificate chain:\n  0 subject     O=Spoken to, CN=server.test\n",
            &format!("    thumbprint  {thumbprint}\n"),
            &format!("            protocol  {protocol}\n"),
            "         their check  CERT_E_",
        ] {
            ensure!(said.contains(part), "{part:?} is missing in\n{said}");
        }
    }
    lab.finish()
}

/// `openssl s_server`.
struct SServer {
    child: Child,
    address: String,
}

impl SServer {
    /// Starts it with the certificate in this folder, on a port of the system's choosing.
    fn start(folder: &Path, version: &str) -> Result<Self> {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", version])
            .args([
                "-cert",
                "certificate.pem",
                "-key",
                "key.pem",
                "-alpn",
                "http/1.1",
            ])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("openssl is not installed")?;
        let output = child.stdout.take().context("no output")?;
        let mut lines = BufReader::new(output).lines();
        let address = loop {
            let line = lines.next().context("it does not listen")??;
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.to_owned();
            }
        };
        // What it says later is of no interest, but it must be able to say it.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address })
    }
}

impl Drop for SServer {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
