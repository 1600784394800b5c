//! The driver as a client of servers that are not OpenSSL's own: GnuTLS, and Python's `ssl`.

use crate::{
    as_client::{good, noise},
    carried::Forward,
    peers::{self, Program, Python},
    pki::{Identity, Kind, NAME, Pki, Purpose},
    site::each_completion_alone,
};
use anyhow::{Context, Result, ensure};
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    process::Command,
};
use tempfile::NamedTempFile;
use tlsgate_e2e::variant;

const NAMED: [&str; 2] = ["--server-name", NAME];

/// `gnutls-serv --echo`, and the files it reads.
struct Gnutls {
    program: Program,
    address: SocketAddr,
    _files: [NamedTempFile; 2],
}

impl Gnutls {
    fn start(pki: &Pki, identity: &Identity, further: &[&str]) -> Result<Self> {
        let own = peers::file(&identity.pem()?)?;
        let authority = peers::file(&pki.trusted.certificate().to_pem()?)?;
        let address = free_port()?;
        let mut command = Command::new("gnutls-serv");
        command
            .arg("--echo")
            .args(["--port", &address.port().to_string()])
            .arg("--x509certfile")
            .arg(own.path())
            .arg("--x509keyfile")
            .arg(own.path())
            .arg("--x509cafile")
            .arg(authority.path())
            .args(further);
        let program = Program::start(&mut command)?;
        program.line_with("listening on IPv4")?;
        Ok(Self {
            program,
            address,
            _files: [own, authority],
        })
    }
}

/// GnuTLS wants a number; the system gives one that is free now.
fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

#[test]
fn gnutls_is_talked_to_and_its_sessions_are_resumed() -> Result<()> {
    each_completion_alone("client of GnuTLS", |lab| {
        let pki = Pki::of(lab)?;
        for (version, kind) in [("1.2", Kind::Rsa), ("1.3", Kind::Ecdsa)] {
            let identity = pki.trusted.issue(NAME, kind, Purpose::Server)?;
            let priority = format!("NORMAL:-VERS-ALL:+VERS-TLS{version}");
            let server = Gnutls::start(
                &pki,
                &identity,
                &["--priority", &priority, "--alpn", "http/1.1"],
            )?;
            let offer = [&NAMED[..], &["--alpn", "h2,http/1.1"]].concat();
            let forward = Forward::start(lab, server.address, &offer)?;
            for resumed in ["no", "yes"] {
                let mut plain = forward.dial()?;
                forward
                    .facts()?
                    .are(&[
                        ("protocol", &format!("TLSv{version}")),
                        ("application protocol", "http/1.1"),
                        ("resumed", resumed),
                        ("their check", good()?),
                    ])
                    .context(version)?;
                let said = server.program.line_with("Description: ")?;
                ensure!(said.contains(&format!("(TLS{version}")), "{said}");
                echo(&mut plain)?;
                end(plain, &forward)?;
            }
            forward.stop()?;
        }
        Ok(())
    })
}

#[test]
fn gnutls_gets_the_client_certificate_that_it_demands() -> Result<()> {
    each_completion_alone("GnuTLS and a client certificate", |lab| {
        let pki = Pki::of(lab)?;
        let identity = pki.trusted.issue(NAME, Kind::Ecdsa, Purpose::Server)?;
        let own = pki.on_the_machine("client.test", Kind::Ecdsa, Purpose::Client)?;
        let shown = own.thumbprint()?;
        for version in ["1.2", "1.3"] {
            let priority = format!("NORMAL:-VERS-ALL:+VERS-TLS{version}");
            let server = Gnutls::start(
                &pki,
                &identity,
                &[
                    "--priority",
                    &priority,
                    "--require-client-cert",
                    "--verify-client-cert",
                ],
            )?;
            let wish = [&NAMED[..], &["--cert", &shown]].concat();
            let forward = Forward::start(lab, server.address, &wish)?;
            let mut plain = forward.dial()?;
            forward.facts()?.are(&[("session", "established")])?;
            let said = server.program.line_with("Subject: ")?;
            ensure!(said.contains("CN=client.test"), "{version}: {said}");
            echo(&mut plain)?;
            end(plain, &forward)?;
            forward.stop()?;
        }
        Ok(())
    })
}

#[test]
fn python_hears_much_and_ends_clean() -> Result<()> {
    each_completion_alone("client of Python", |lab| {
        let pki = Pki::of(lab)?;
        let identity = pki.trusted.issue(NAME, Kind::Rsa, Purpose::Server)?;
        let file = peers::file(&identity.pem()?)?;
        let path = file.path().to_str().context("a path that is text")?;
        let server = Python::server(path)?;
        let line = server.line_with("port ")?;
        let port: u16 = line.trim_start_matches("port ").parse()?;
        let offer = [&NAMED[..], &["--alpn", "http/1.1"]].concat();
        let forward = Forward::start(lab, (Ipv4Addr::LOCALHOST, port).into(), &offer)?;
        let plain = forward.dial()?;
        let facts = forward.facts()?;
        facts.are(&[("application protocol", "http/1.1")])?;
        let data = noise(2 * 1024 * 1024, 3);
        let mut writing = plain.try_clone()?;
        let mut heard = Vec::new();
        std::thread::scope(|scope| -> Result<()> {
            let sending = scope.spawn(|| -> Result<()> {
                writing.write_all(&data)?;
                Ok(writing.shutdown(Shutdown::Write)?)
            });
            (&plain).read_to_end(&mut heard)?;
            sending.join().expect("no panic")
        })?;
        ensure!(heard == data, "{} bytes came back", heard.len());
        let ending = forward.ending()?;
        ensure!(ending == "ended", "{ending}");
        let said = server.end()?;
        let version = facts.get("protocol");
        ensure!(
            said.contains(&format!("version {version} alpn http/1.1")) && said.contains("clean"),
            "{said}"
        );
        forward.stop()
    })
}

/// A line there and back.
fn echo(plain: &mut TcpStream) -> Result<()> {
    let line = b"what GnuTLS echoes ends with a line\n";
    plain.write_all(line)?;
    let mut heard = vec![0; line.len()];
    plain.read_exact(&mut heard)?;
    ensure!(heard == line, "{:?}", String::from_utf8_lossy(&heard));
    Ok(())
}

fn end(mut plain: TcpStream, forward: &Forward) -> Result<()> {
    plain.shutdown(Shutdown::Write)?;
    if !variant()?.out_of_band_alert {
        // GnuTLS resets a connection that ends without close_notify.
        return Ok(());
    }
    let more = plain.read(&mut [0]).context("GnuTLS's end")?;
    ensure!(more == 0, "there is more than the echo");
    let ending = forward.ending()?;
    ensure!(ending == "ended", "{ending}");
    Ok(())
}
