//! `tlsgate serve`: files, HTTP/2, an echo, and the certificate for each name. The clients are curl and
//! OpenSSL.

use crate::tool::{done, host};
use anyhow::{Context, Result, ensure};
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode};
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};
use tlsgate_e2e::{Lab, Server, curl};
use tlsgate_lab_machine::wait_until;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn files_pages_and_echoes_are_served() -> Result<()> {
    let lab = Lab::start(&mut |_| {})?;
    files(&lab)?;
    both_http_versions(&lab)?;
    echo(&lab)?;
    lab.finish()
}

/// More than a record and a window of HTTP/2 take.
const LARGE: usize = 3 << 20;

/// What curl gets is what lies in the folder, and nothing beside it.
fn files(lab: &Lab) -> Result<()> {
    let site = lab.machine().lab().join("site");
    fs::create_dir_all(site.join("below"))?;
    fs::write(lab.machine().lab().join("secret.txt"), "a secret")?;
    fs::write(site.join("index.html"), "<p>index</p>")?;
    fs::write(site.join("below").join("text file.txt"), "text")?;
    let large: Vec<u8> = (0..251).cycle().take(LARGE).collect();
    fs::write(site.join("large.bin"), &large)?;
    let folder = ["--dir", r"C:\lab\site", "--alpn", "h2,http/1.1"];
    let server = Server::start_with(lab, &folder)?;
    let download = tempfile::tempdir()?;
    for version in ["--http1.1", "--http2"] {
        let get = |path: &str| get(download.path(), server.address(), version, path);
        ensure!(get("/")? == (200, b"<p>index</p>".to_vec()));
        ensure!(get("/below/text%20file.txt")? == (200, b"text".to_vec()));
        ensure!(get("/large.bin")? == (200, large.clone()), "another file");
        ensure!(get("/nothing.txt")?.0 == 404);
        for out in [
            "/../secret.txt",
            "/below/../../secret.txt",
            "/..%2fsecret.txt",
            "/..%5csecret.txt",
            "/below%5c..%5c..%5csecret.txt",
            "/C:/lab/secret.txt",
            "/C:%5clab%5csecret.txt",
            "//lab/secret.txt",
            "/%5c%5c.%5cC:%5clab%5csecret.txt",
            "/NUL",
            "/below/con",
            "/%00",
        ] {
            let (status, body) = get(out)?;
            ensure!(status >= 400 && body.is_empty(), "{out}: {status} {body:?}");
        }
    }
    server.stop()
}

/// Status and body; the path is not made harmless by curl.
fn get(folder: &Path, address: SocketAddr, version: &str, path: &str) -> Result<(u16, Vec<u8>)> {
    let body = folder.join("body");
    let url = format!("https://{address}{path}");
    let file = body.to_str().context("a path that is no text")?;
    let arguments = [
        "--silent",
        "--show-error",
        "--insecure",
        "--path-as-is",
        "--max-time",
        "30",
        version,
        "--output",
        file,
        "--write-out",
        "%{http_code}",
        &url,
    ];
    // curl makes no file where there is no body.
    fs::write(&body, "")?;
    let status = host(folder, "curl", &arguments)?;
    Ok((status.trim().parse()?, fs::read(body)?))
}

/// The page comes over what ALPN has chosen.
fn both_http_versions(lab: &Lab) -> Result<()> {
    let server = Server::start(lab, "h2,http/1.1")?;
    for (version, number, alpn) in [("--http1.1", "1.1", "http/1.1"), ("--http2", "2", "h2")] {
        let told = ["--write-out", "version %{http_version}", version];
        let page = curl(server.address(), &told)?;
        ensure!(page.ends_with(&format!("version {number}")), "{page}");
        ensure!(
            page.contains(&format!("application protocol  {alpn}\n")),
            "{page}"
        );
    }
    server.stop()
}

/// What goes comes back, to the last byte, and the end is told.
fn echo(lab: &Lab) -> Result<()> {
    let server = Server::start_with(lab, &["--echo"])?;
    let mut tls = connect(server.address(), "localhost")?;
    tls.write_all(b"first")?;
    let mut heard = [0; 5];
    tls.read_exact(&mut heard)?;
    ensure!(heard == *b"first", "{heard:?}");
    let sent: Vec<u8> = (0..253).cycle().take(100_000).collect();
    let mut heard = vec![0; sent.len()];
    for piece in 0..10 {
        let range = piece * 10_000..(piece + 1) * 10_000;
        tls.write_all(&sent[range.clone()])?;
        tls.read_exact(&mut heard[range])?;
    }
    ensure!(heard == sent, "something else came back");
    tls.shutdown()?;
    ensure!(tls.read(&mut [0])? == 0, "there is more than what was sent");
    server.stop()
}

#[test]
fn each_name_gets_its_certificate() -> Result<()> {
    let lab = Lab::start(&mut |_| {})?;
    let one = made(&lab, &["one.test"])?;
    let two = made(&lab, &["two.test", "*.two.test"])?;
    let renewed = made(&lab, &["renewed.test", "two.test"])?;
    let mut server = Server::start_of(&lab, &[&one, &two], &[])?;
    let shown = |server: &Server, name: &str| subject(server.address(), name);
    for (name, expected) in [
        ("one.test", "one.test"),
        ("two.test", "two.test"),
        ("TWO.test", "two.test"),
        ("www.two.test", "two.test"),
        ("three.test", "one.test"),
    ] {
        let shown = shown(&server, name)?;
        ensure!(shown == expected, "{name} gets the certificate of {shown}");
    }
    ensure!(lab.ksecdd()?.credentials == 2, "{:?}", lab.ksecdd()?);
    // Others take their place; the credentials of those before are let go.
    server.renew(&format!("{one} {renewed}"))?;
    ensure!(server.running().line()? == "renewed");
    ensure!(shown(&server, "two.test")? == "renewed.test");
    ensure!(shown(&server, "www.two.test")? == "one.test");
    wait_until("the old credentials to go", PATIENCE, || {
        Ok((lab.ksecdd()?.credentials == 2).then_some(()))
    })?;
    server.stop()?;
    for thumbprint in [&one, &two, &renewed] {
        done(lab.machine(), &["cert", "remove", thumbprint])?;
    }
    lab.finish()
}

/// A new certificate of the machine's for these names; its thumbprint.
fn made(lab: &Lab, names: &[&str]) -> Result<String> {
    let further = names[1..].iter().flat_map(|name| ["--dns", name]);
    let mut arguments = vec!["cert", "new", "--exportable", "--name", names[0]];
    arguments.extend(further);
    Ok(done(lab.machine(), &arguments)?.trim().to_owned())
}

/// The common name of the certificate that a client of this name is shown.
fn subject(address: SocketAddr, name: &str) -> Result<String> {
    let tls = connect(address, name)?;
    let certificate = tls.ssl().peer_certificate().context("no certificate")?;
    let entry = certificate.subject_name().entries().next();
    Ok(entry.context("no name")?.data().to_string()?)
}

/// OpenSSL's client, which checks nothing.
fn connect(address: SocketAddr, name: &str) -> Result<SslStream<TcpStream>> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_verify(SslVerifyMode::NONE);
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut configuration = builder.build().configure()?;
    configuration.set_verify_hostname(false);
    Ok(configuration.connect(name, socket)?)
}
