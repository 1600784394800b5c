//! Each example does what it says.

use crate::{
    example::{self, Example},
    peers::{Program, file},
    pki::{Authority, Identity, Kind, NAME, Pki, Purpose, thumbprint},
};
use anyhow::{Context, Result, ensure};
use openssl::x509::X509;
use std::{net::SocketAddr, path::Path, process::Command};
use tlsgate_e2e::{Lab, curl, openssl_client};

/// One machine for all of them: what an example leaves behind would be seen at the end.
#[test]
fn the_examples_do_what_they_say() -> Result<()> {
    let lab = Lab::start(&mut |_| {})?;
    let pki = Pki::of(&lab)?;
    hyper_serves_both_versions_of_http(&lab).context("hyper_server")?;
    hyper_asks_openssl(&lab, &pki).context("hyper_client, OpenSSL")?;
    hyper_asks_hyper(&lab, &pki).context("hyper_client, hyper_server")?;
    only_known_clients_are_greeted(&lab, &pki).context("mutual_tls")?;
    each_name_has_its_certificate(&lab, &pki).context("sni")?;
    lab.machine().check()?;
    lab.finish()
}

/// What ALPN chose, in curl's own words.
fn hyper_serves_both_versions_of_http(lab: &Lab) -> Result<()> {
    let server = Example::start(lab, "hyper_server", &["--cert", lab.thumbprint()])?;
    for (option, alpn, version) in [
        ("--http1.1", "http/1.1", "HTTP/1.1"),
        ("--http2", "h2", "HTTP/2.0"),
    ] {
        for tls in ["1.2", "1.3"] {
            let arguments = [option, "--verbose", "--stderr", "-", "--tls-max", tls];
            let said = curl(server.address(), &arguments)?;
            let chosen = format!("ALPN: server accepted {alpn}\n");
            let page = format!("/ over {version} over TLSv{tls}\n");
            for part in [chosen, page] {
                ensure!(said.contains(&part), "no {part:?} in {said}");
            }
        }
    }
    server.stop()
}

/// `openssl s_server -www` tells of the connection in its page.
fn hyper_asks_openssl(lab: &Lab, pki: &Pki) -> Result<()> {
    let identity = pki.trusted.issue(NAME, Kind::Ecdsa, Purpose::Server)?;
    let identity = file(&identity.pem()?)?;
    let mut command = Command::new("openssl");
    command
        .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert"])
        .arg(identity.path())
        .args(["-alpn", "http/1.1"]);
    let server = Program::start(&mut command)?;
    let line = server.line_with("ACCEPT 127.0.0.1:")?;
    let address = line.trim_start_matches("ACCEPT ");
    let output = example::run(lab, "hyper_client", &[address, "--name", NAME])?.success()?;
    ensure!(output.stderr.contains("TLSv1.3, http/1.1"), "{output:?}");
    ensure!(
        output.stdout.contains("New, TLSv1.3, Cipher is"),
        "{output:?}"
    );

    let output = example::run(lab, "hyper_client", &[address, "--name", "other.test"])?;
    ensure!(output.code != Some(0), "{output:?}");
    let said = &output.stderr;
    ensure!(
        said.contains("handshake failed: ") && said.contains("_E_"),
        "{said}"
    );
    Ok(())
}

fn hyper_asks_hyper(lab: &Lab, pki: &Pki) -> Result<()> {
    let identity = pki.on_the_machine(NAME, Kind::Ecdsa, Purpose::Server)?;
    let server = Example::start(lab, "hyper_server", &["--cert", &identity.thumbprint()?])?;
    let address = server.address().to_string();
    let arguments = [&address, "/some/page", "--name", NAME];
    let output = example::run(lab, "hyper_client", &arguments)?.success()?;
    ensure!(
        output.stdout == "/some/page over HTTP/2.0 over TLSv1.3\n",
        "{output:?}"
    );
    ensure!(output.stderr.contains("HTTP/2.0, 200 OK"), "{output:?}");
    server.stop()
}

fn only_known_clients_are_greeted(lab: &Lab, pki: &Pki) -> Result<()> {
    let identity = pki.on_the_machine(NAME, Kind::Ecdsa, Purpose::Server)?;
    let own = identity.thumbprint()?;
    let server = Example::start(lab, "mutual_tls", &["serve", "--cert", &own])?;
    let known = pki
        .trusted
        .issue("client.test", Kind::Rsa, Purpose::Client)?;
    let greeting = format!("hello, {}\n", known.thumbprint()?);
    let said = show(server.address(), &known)?;
    ensure!(said.contains(&greeting), "no {greeting:?} in {said}");

    let stranger = Authority::new("A stranger's authority")?;
    let stranger = stranger.issue("client.test", Kind::Ecdsa, Purpose::Client)?;
    let said = show(server.address(), &stranger).unwrap_or_default();
    ensure!(!said.contains("hello"), "{said}");
    let said = openssl_client(server.address(), &["-ign_eof"]).unwrap_or_default();
    ensure!(!said.contains("hello"), "{said}");
    server.complains_of("the client's certificate is not good: CERT_E_UNTRUSTEDROOT")?;
    server.complains_of("the client shows no certificate")?;

    let client = pki.on_the_machine("client.test", Kind::Ecdsa, Purpose::Client)?;
    let client = client.thumbprint()?;
    let address = format!("{NAME}:{}", server.address().port());
    let arguments = ["connect", &address, "--cert", &client];
    let output = example::run(lab, "mutual_tls", &arguments)?.success()?;
    ensure!(output.stdout == format!("hello, {client}\n"), "{output:?}");
    server.stop()
}

/// What OpenSSL's client hears when it shows this certificate.
fn show(server: SocketAddr, identity: &Identity) -> Result<String> {
    let pem = file(&identity.pem()?)?;
    let path = |path: &Path| path.to_str().map(str::to_owned).context("not a path");
    openssl_client(server, &["-ign_eof", "-cert", &path(pem.path())?])
}

fn each_name_has_its_certificate(lab: &Lab, pki: &Pki) -> Result<()> {
    let one = pki.on_the_machine("one.test", Kind::Ecdsa, Purpose::Server)?;
    let two = pki.on_the_machine("two.test", Kind::Rsa, Purpose::Server)?;
    let (one, two) = (one.thumbprint()?, two.thumbprint()?);
    let certificates = [format!("one.test={one}"), format!("two.test={two}")];
    let arguments = ["--cert", &certificates[0], "--cert", &certificates[1]];
    let server = Example::start(lab, "sni", &[&arguments[..], &["--default", &one]].concat())?;
    for (name, expected) in [
        (Some("one.test"), &one),
        (Some("two.test"), &two),
        (Some("TWO.test"), &two),
        (Some("three.test"), &one),
        (None, &one),
    ] {
        let choice = name.map_or(["-noservername", "-ign_eof"].to_vec(), |name| {
            vec!["-ign_eof", "-servername", name]
        });
        let said = s_client(server.address(), &choice)?;
        let shown = shown(&said)?;
        ensure!(shown == *expected, "{name:?}: {shown}, not {expected}");
        let wanted = name.unwrap_or("nobody").to_lowercase();
        let greeting = format!("you wanted {wanted}\n");
        ensure!(
            said.to_lowercase().contains(&greeting),
            "no {greeting:?} in {said}"
        );
    }
    server.stop()?;

    let server = Example::start(lab, "sni", &arguments)?;
    let error = s_client(server.address(), &["-servername", "three.test"]).unwrap_err();
    let error = error.to_string();
    ensure!(error.contains("unrecognized name"), "{error}");
    server.complains_of("no credential for the server name")?;
    server.stop()
}

/// OpenSSL's client with these arguments and no others.
fn s_client(server: SocketAddr, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &server.to_string()]);
    Program::start(command.args(arguments))?.end()
}

/// The thumbprint of the certificate that `s_client` prints. Its lines may have what it says on its other output
/// among them.
fn shown(said: &str) -> Result<String> {
    let begin = said
        .find("-----BEGIN CERTIFICATE")
        .context("no certificate")?;
    let lines: Vec<_> = said[begin..]
        .lines()
        .filter(|line| line.starts_with("-----") || !line.contains(' '))
        .collect();
    thumbprint(&*X509::from_pem(lines.join("\n").as_bytes()).with_context(|| said.to_owned())?)
}
