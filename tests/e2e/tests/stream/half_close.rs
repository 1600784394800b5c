//! A side that has said close_notify says no more, and may still hear much (RFC 8446, section 6.1).

use crate::{
    as_client::noise,
    carried::{Forward, Terminate},
    key_update::{KeyUpdate, update_keys},
    openssl_server::OpensslServer,
    pki::{Kind, NAME, Pki, Purpose},
    site::each_completion_alone,
};
use anyhow::{Context, Result, ensure};
use openssl::ssl::{ErrorCode, Ssl, SslContext, SslMethod, SslStream, SslVersion};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
};
use tlsgate_e2e::Lab;

/// Bytes that the other side still says.
const MUCH: usize = 300 * 1024;

#[test]
fn a_client_of_the_driver_s_writes_on_after_the_server_s_end() -> Result<()> {
    each_completion_alone("half-closed, as the client", |lab| {
        as_client(lab, the_peer_ends_first)?;
        as_client(lab, the_driver_ends_first)
    })
}

#[test]
fn a_server_of_the_driver_s_writes_on_after_the_client_s_end() -> Result<()> {
    each_completion_alone("half-closed, as the server", |lab| {
        as_server(lab, the_peer_ends_first)?;
        as_server(lab, the_driver_ends_first)
    })
}

/// OpenSSL has ended its side and hears all that the driver still says.
fn the_peer_ends_first(tls: &mut SslStream<TcpStream>, plain: &mut TcpStream) -> Result<()> {
    tls.write_all(b"last")?;
    tls.shutdown()?;
    let mut heard = Vec::new();
    plain.read_to_end(&mut heard)?;
    ensure!(heard == b"last", "the driver's side heard {heard:?}");
    let data = noise(MUCH, 7);
    let mut writing = plain.try_clone()?;
    let said = data.clone();
    let saying = thread::spawn(move || -> Result<()> {
        writing.write_all(&said)?;
        Ok(writing.shutdown(Shutdown::Write)?)
    });
    let mut heard = vec![0; MUCH];
    tls.read_exact(&mut heard).context("at OpenSSL")?;
    saying.join().expect("no panic")?;
    ensure!(heard == data, "OpenSSL heard something else");
    is_over(tls)
}

/// The driver has ended its side and hears all that OpenSSL still says, under new keys as well.
fn the_driver_ends_first(tls: &mut SslStream<TcpStream>, plain: &mut TcpStream) -> Result<()> {
    plain.write_all(b"last")?;
    plain.shutdown(Shutdown::Write)?;
    let mut heard = [0; 4];
    tls.read_exact(&mut heard)?;
    ensure!(heard == *b"last", "OpenSSL heard {heard:?}");
    is_over(tls)?;
    let data = noise(MUCH, 8);
    let mut reading = plain.try_clone()?;
    let hearing = thread::spawn(move || -> Result<Vec<u8>> {
        let mut heard = Vec::new();
        reading.read_to_end(&mut heard)?;
        Ok(heard)
    });
    let (before, behind) = data.split_at(MUCH / 2);
    tls.write_all(before)?;
    update_keys(tls.ssl(), KeyUpdate::NotRequested)?;
    tls.write_all(behind)?;
    tls.shutdown()?;
    let heard = hearing.join().expect("no panic")?;
    ensure!(heard == data, "{} bytes came, not the same", heard.len());
    Ok(())
}

type Scenario = fn(&mut SslStream<TcpStream>, &mut TcpStream) -> Result<()>;

fn as_client(lab: &Lab, scenario: Scenario) -> Result<()> {
    let pki = Pki::of(lab)?;
    let identity = pki.trusted.issue(NAME, Kind::Ecdsa, Purpose::Server)?;
    let server = OpensslServer::new(SslVersion::TLS1_3, &identity, |_| Ok(()))?;
    let forward = Forward::start(lab, server.address()?, &["--server-name", NAME])?;
    let mut met = server.meet(&forward)?;
    scenario(&mut met.tls, &mut met.plain)?;
    let ending = forward.ending()?;
    ensure!(ending == "ended", "{ending}");
    forward.stop()
}

fn as_server(lab: &Lab, scenario: Scenario) -> Result<()> {
    let server = Terminate::start(lab, &[lab.thumbprint()], &[])?;
    let mut context = SslContext::builder(SslMethod::tls_client())?;
    context.set_min_proto_version(Some(SslVersion::TLS1_3))?;
    let socket = crate::socket::connect(server.address())?;
    let mut tls = Ssl::new(&context.build())?.connect(socket)?;
    let (_, mut plain) = server.next()?;
    scenario(&mut tls, &mut plain)?;
    let ending = server.ending()?;
    ensure!(ending == "ended", "{ending}");
    server.stop()
}

/// The driver has said close_notify.
fn is_over(tls: &mut SslStream<TcpStream>) -> Result<()> {
    let Err(error) = tls.ssl_read(&mut [0]) else {
        anyhow::bail!("there is more than what was sent");
    };
    ensure!(error.code() == ErrorCode::ZERO_RETURN, "not clean: {error}");
    Ok(())
}
