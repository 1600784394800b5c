//! The driver as a server that asks its clients for certificates: OpenSSL, curl and Python show them.

use crate::{
    carried::Terminate,
    client::VERSIONS,
    peers::{self, Python},
    pki::{Authority, Identity, Kind, NAME, Pki, Purpose},
    site::each_completion_alone,
};
use anyhow::{Context, Result, ensure};
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode, SslVersion};
use std::{
    io::{Read, Write},
    net::TcpStream,
};
use tlsgate_e2e::{Server, curl};

/// OpenSSL as a client that shows this certificate, and its issuer's.
fn connect(
    server: &Terminate,
    version: SslVersion,
    identity: Option<&Identity>,
    issuer: &Authority,
) -> Result<SslStream<TcpStream>> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(version))?;
    builder.set_max_proto_version(Some(version))?;
    builder.set_verify(SslVerifyMode::NONE);
    if let Some(identity) = identity {
        builder.set_certificate(&identity.certificate)?;
        builder.set_private_key(&identity.key)?;
        builder.add_extra_chain_cert(issuer.certificate().clone())?;
    }
    let socket = crate::socket::connect(server.address())?;
    Ok(builder.build().connect(NAME, socket)?)
}

/// The chain as QUERY_SESSION gives it is the one that the client sent.
#[test]
fn a_client_s_chain_is_told_as_it_was_sent() -> Result<()> {
    each_completion_alone("client certificates asked for", |lab| {
        let pki = Pki::of(lab)?;
        let stranger = Authority::new("A stranger's authority")?;
        let server = Terminate::start(lab, &[lab.thumbprint()], &["--client-auth", "request"])?;
        for version in VERSIONS {
            for kind in [Kind::Rsa, Kind::Ecdsa] {
                for (authority, good) in [(&pki.trusted, true), (&stranger, false)] {
                    let identity = authority.issue("client.test", kind, Purpose::Client)?;
                    let mut tls = connect(&server, version, Some(&identity), authority)?;
                    let (facts, mut plain) = server.next()?;
                    let own = identity.thumbprint()?;
                    let issuer = crate::pki::thumbprint(authority.certificate())?;
                    facts.are(&[("peer's certificates", &format!("{own} {issuer}"))])?;
                    let check = facts.get("their check");
                    ensure!((check == "good") == good, "{check}, for good: {good}");
                    ensure!(check != "not checked", "not checked");
                    talk(&mut tls, &mut plain)?;
                }
            }
            let mut tls = connect(&server, version, None, &stranger)?;
            let (facts, mut plain) = server.next()?;
            facts.are(&[("peer's certificates", "none")])?;
            talk(&mut tls, &mut plain)?;
        }
        server.stop()
    })
}

#[test]
fn a_server_that_demands_certificates_lets_no_other_client_in() -> Result<()> {
    each_completion_alone("client certificates demanded", |lab| {
        let pki = Pki::of(lab)?;
        let stranger = Authority::new("A stranger's authority")?;
        for version in VERSIONS {
            let server = Terminate::start(lab, &[lab.thumbprint()], &["--client-auth", "require"])?;
            let known = pki
                .trusted
                .issue("client.test", Kind::Ecdsa, Purpose::Client)?;
            let mut tls = connect(&server, version, Some(&known), &pki.trusted)?;
            let (facts, mut plain) = server.next()?;
            facts.are(&[("their check", "good")])?;
            talk(&mut tls, &mut plain)?;

            let unknown = stranger.issue("client.test", Kind::Ecdsa, Purpose::Client)?;
            for (identity, reason) in [
                (None, "the client shows no certificate"),
                (Some(&unknown), "the client's certificate is not good"),
            ] {
                // The handshake itself may end before the server looks.
                if let Ok(mut tls) = connect(&server, version, identity, &stranger) {
                    let heard = tls.read(&mut [0]);
                    ensure!(!matches!(heard, Ok(1..)), "{reason}: the server talks");
                }
                let said = server.refusal(reason)?;
                ensure!(said.contains(reason), "{said}");
            }
            server.stop()?;
        }
        Ok(())
    })
}

#[test]
fn curl_and_python_show_their_certificates() -> Result<()> {
    each_completion_alone("certificates of curl and Python", |lab| {
        let pki = Pki::of(lab)?;
        let server = Server::start_with(lab, &["--client-auth", "require"])?;
        for kind in [Kind::Rsa, Kind::Ecdsa] {
            let identity = pki.trusted.issue("client.test", kind, Purpose::Client)?;
            let file = peers::file(&identity.pem()?)?;
            let path = file.path().to_str().context("a path that is text")?;
            let own = identity.thumbprint()?;
            for version in ["1.2", "1.3"] {
                let wanted = ["--cert", path, "--tls-max", version];
                let page = curl(server.address(), &wanted)?;
                ensure!(page.contains(&own), "curl, {kind:?}: {page}");
                let page = Python::page(server.address(), path, version)?;
                ensure!(page.contains(&own), "Python, {kind:?}: {page}");
                ensure!(page.contains(&format!("TLSv{version}")), "{page}");
            }
        }
        let refused = curl(server.address(), &[]);
        ensure!(refused.is_err(), "curl without a certificate: {refused:?}");
        server.stop()
    })
}

/// Some bytes each way, and the end.
pub fn talk(tls: &mut (impl Read + Write), plain: &mut TcpStream) -> Result<()> {
    let mut heard = [0; 4];
    tls.write_all(b"ping")?;
    plain.read_exact(&mut heard).context("at the server")?;
    ensure!(heard == *b"ping", "{heard:?}");
    plain.write_all(b"pong")?;
    tls.read_exact(&mut heard).context("at the client")?;
    ensure!(heard == *b"pong", "{heard:?}");
    Ok(())
}
