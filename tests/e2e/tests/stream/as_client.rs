//! The driver as a client, OpenSSL as its server.

use crate::{
    carried::Forward,
    client::VERSIONS,
    key_update::{self, KeyUpdate},
    openssl_server::{Met, OpensslServer},
    pki::{Authority, Kind, NAME, Pki, Purpose, thumbprint},
    records::with_each_habit,
    site::each_completion_alone,
};
use anyhow::{Context, Result, ensure};
use openssl::ssl::{ErrorCode, SslStream, SslVerifyMode, SslVersion};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
};
use tlsgate_e2e::{Lab, PROGRAM, variant};
use tlsgate_lab_control::ksecdd::Function;

const NAMED: [&str; 2] = ["--server-name", NAME];

/// Bytes of a larger message each way.
const MUCH: usize = 1024 * 1024;

#[test]
fn both_sides_say_the_same_and_data_goes_both_ways() -> Result<()> {
    each_completion_alone("client of OpenSSL", |lab| {
        let pki = Pki::of(lab)?;
        for version in VERSIONS {
            for kind in [Kind::Ecdsa, Kind::Rsa] {
                let identity = pki.trusted.issue(NAME, kind, Purpose::Server)?;
                let server = OpensslServer::new(version, &identity, |_| Ok(()))?;
                let offer = [&NAMED[..], &["--alpn", "h3,http/1.1"]].concat();
                let forward = Forward::start(lab, server.address()?, &offer)?;
                let mut met = server.meet(&forward)?;
                let ssl = met.tls.ssl();
                let cipher = ssl.current_cipher().context("no cipher")?;
                let [high, low] = cipher.protocol_id();
                let suite = cipher.standard_name().context("no name")?;
                met.facts.are(&[
                    ("protocol", ssl.version_str()),
                    ("cipher suite", &format!("{suite} (0x{high:02X}{low:02X})")),
                    ("application protocol", "http/1.1"),
                    ("resumed", "no"),
                    ("peer's certificates", &identity.thumbprint()?),
                    ("their check", good()?),
                    ("session", "established"),
                ])?;
                let said = ssl.servername(openssl::ssl::NameType::HOST_NAME);
                ensure!(said == Some(NAME), "SNI {said:?}");
                ensure!(
                    ssl.selected_alpn_protocol() == Some(b"http/1.1"),
                    "another ALPN"
                );
                exchange(&mut met, MUCH)?;
                ends_clean(met, &forward)?;
                forward.stop()?;
            }
        }
        Ok(())
    })
}

#[test]
fn a_server_that_is_not_who_it_should_be_is_refused() -> Result<()> {
    each_completion_alone("refused servers", |lab| {
        let pki = Pki::of(lab)?;
        let nobody = Authority::new("Nobody's authority")?;
        for version in VERSIONS {
            for (authority, name, purpose, status) in [
                (
                    &pki.trusted,
                    "other.test",
                    Purpose::Server,
                    "SEC_E_WRONG_PRINCIPAL",
                ),
                (&nobody, NAME, Purpose::Server, "SEC_E_UNTRUSTED_ROOT"),
                (
                    &pki.trusted,
                    NAME,
                    Purpose::ExpiredServer,
                    "SEC_E_CERT_EXPIRED",
                ),
            ] {
                let identity = authority.issue(name, Kind::Ecdsa, purpose)?;
                let server = OpensslServer::new(version, &identity, |_| Ok(()))?;
                let forward = Forward::start(lab, server.address()?, &NAMED)?;
                let (told, alert) = server.part(&forward)?;
                ensure!(told.contains(status), "{name}, {purpose:?}: {told}");
                ensure!(alert.contains("alert"), "{name}, {purpose:?}: {alert}");
                forward.stop()?;

                // Who asked to judge for himself gets to know it all.
                let manual = [&NAMED[..], &["--manual-check"]].concat();
                let forward = Forward::start(lab, server.address()?, &manual)?;
                let mut met = server.meet(&forward)?;
                let check = met.facts.get("their check");
                ensure!(
                    check != "good" && check != "not checked",
                    "{name}, {purpose:?}: {check}"
                );
                met.facts
                    .are(&[("peer's certificates", &identity.thumbprint()?)])?;
                exchange(&mut met, 10)?;
                ends_clean(met, &forward)?;
                forward.stop()?;
            }
        }
        Ok(())
    })
}

#[test]
fn a_client_certificate_that_is_demanded_is_shown() -> Result<()> {
    each_completion_alone("client certificates", |lab| {
        let pki = Pki::of(lab)?;
        let identity = pki.trusted.issue(NAME, Kind::Ecdsa, Purpose::Server)?;
        for version in VERSIONS {
            let server = OpensslServer::new(version, &identity, |context| {
                context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
                let trusted = pki.trusted.certificate().clone();
                Ok(context.cert_store_mut().add_cert(trusted)?)
            })?;
            for kind in [Kind::Rsa, Kind::Ecdsa] {
                let own = pki.on_the_machine("client.test", kind, Purpose::Client)?;
                let own = own.thumbprint()?;
                let shown = [&NAMED[..], &["--cert", &own]].concat();
                let forward = Forward::start(lab, server.address()?, &shown)?;
                let mut met = server.meet(&forward)?;
                let certificate = met.tls.ssl().peer_certificate();
                let certificate = certificate.context("OpenSSL saw no certificate")?;
                ensure!(thumbprint(&certificate)? == own, "another certificate");
                exchange(&mut met, 100)?;
                ends_clean(met, &forward)?;
                forward.stop()?;
            }
            let forward = Forward::start(lab, server.address()?, &NAMED)?;
            let _plain = forward.dial()?;
            let Err(error) = server.accept() else {
                anyhow::bail!("{version:?}: OpenSSL takes a client without a certificate");
            };
            let error = error.to_string();
            ensure!(
                error.contains("peer did not return a certificate"),
                "{error}"
            );
            forward.stop()?;
        }
        Ok(())
    })
}

/// What a credential has known is resumed; another credential begins anew.
#[test]
fn sessions_are_resumed_by_the_same_credential() -> Result<()> {
    each_completion_alone("resumption", |lab| {
        let pki = Pki::of(lab)?;
        let identity = pki.trusted.issue(NAME, Kind::Ecdsa, Purpose::Server)?;
        for version in VERSIONS {
            let server = OpensslServer::new(version, &identity, |_| Ok(()))?;
            for _ in 0..2 {
                let forward = Forward::start(lab, server.address()?, &NAMED)?;
                for (number, resumed) in [false, true, true].into_iter().enumerate() {
                    let mut met = server.meet(&forward)?;
                    // The tickets of TLS 1.3 come before the first data.
                    exchange(&mut met, 100)?;
                    let word = if resumed { "yes" } else { "no" };
                    met.facts
                        .are(&[("resumed", word), ("their check", good()?)])
                        .with_context(|| format!("{version:?}, connection {number}"))?;
                    ensure!(
                        met.tls.ssl().session_reused() == resumed,
                        "{version:?}, connection {number}: OpenSSL says otherwise"
                    );
                    ends_clean(met, &forward)?;
                }
                forward.stop()?;
            }
        }
        Ok(())
    })
}

/// OpenSSL sends two tickets right after a handshake that is not resumed; each is a leg of its own.
#[test]
fn tickets_and_key_updates_of_the_server_lose_no_data() -> Result<()> {
    each_completion_alone("post-handshake messages", |lab| {
        let pki = Pki::of(lab)?;
        let identity = pki.trusted.issue(NAME, Kind::Ecdsa, Purpose::Server)?;
        let server = OpensslServer::new(SslVersion::TLS1_3, &identity, |_| Ok(()))?;
        for kind in [KeyUpdate::NotRequested, KeyUpdate::Requested] {
            let forward = Forward::start(lab, server.address()?, &NAMED)?;
            let before = legs(lab)?;
            let mut met = server.meet(&forward)?;
            exchange(&mut met, 100)?;
            // One leg says hello, one finishes the handshake.
            let tickets = legs(lab)?.saturating_sub(before + 2);
            ensure!(tickets >= 2, "{tickets} legs for two tickets");
            let before = legs(lab)?;
            for round in 1..=5 {
                key_update::update_keys(met.tls.ssl(), kind)?;
                exchange(&mut met, 40_000).with_context(|| format!("round {round}"))?;
            }
            let updates = legs(lab)? - before;
            ensure!(updates >= 5, "{updates} legs for five KeyUpdates");
            ends_clean(met, &forward)?;
            forward.stop()?;
        }
        Ok(())
    })
}

#[test]
fn a_server_that_wants_another_group_gets_it() -> Result<()> {
    each_completion_alone("HelloRetryRequest", |lab| {
        let pki = Pki::of(lab)?;
        let identity = pki.trusted.issue(NAME, Kind::Ecdsa, Purpose::Server)?;
        let server = OpensslServer::new(SslVersion::TLS1_3, &identity, |context| {
            Ok(context.set_groups_list("P-384")?)
        })?;
        with_each_habit(lab, || {
            let forward = Forward::start(lab, server.address()?, &NAMED)?;
            let before = legs(lab)?;
            let mut met = server.meet(&forward)?;
            // One that says hello, one that says it again, one that finishes.
            let legs = legs(lab)? - before;
            ensure!(legs >= 3, "{legs} legs: the first hello was good enough");
            exchange(&mut met, 100)?;
            ends_clean(met, &forward)?;
            forward.stop()
        })
    })
}

/// The standard input to the server, what it says to the standard output.
#[test]
fn a_connection_by_hand_resumes_the_one_before() -> Result<()> {
    each_completion_alone("tlsgate connect", |lab| {
        let pki = Pki::of(lab)?;
        let identity = pki.trusted.issue(NAME, Kind::Ecdsa, Purpose::Server)?;
        for version in VERSIONS {
            let server = OpensslServer::new(version, &identity, |_| Ok(()))?;
            let address = server.address()?.to_string();
            let arguments = [&["connect", &address, "--resume", "1"], &NAMED[..]].concat();
            let mut running = lab.machine().spawn(PROGRAM, &arguments)?;
            let mut first = server.accept()?;
            is_over(&mut first)?;
            let mut second = server.accept()?;
            ensure!(second.ssl().session_reused(), "{version:?}: not resumed");
            running.say("ping")?;
            let mut heard = [0; 5];
            second.read_exact(&mut heard)?;
            ensure!(heard == *b"ping\n", "{heard:?}");
            second.write_all(b"pong\n")?;
            ensure!(running.line()? == "pong", "another answer");
            running.close_input();
            is_over(&mut second)?;
            let told = running.stderr()?;
            ensure!(
                told.contains("resumed  no") && told.contains("resumed  yes"),
                "{version:?}: {told}"
            );
            let code = running.end()?;
            ensure!(code == Some(0), "tlsgate connect ended with {code:?}");
        }
        Ok(())
    })
}

/// The client ends the connection, and so does OpenSSL. False: there was no close_notify, because this
/// variant's Windows makes none.
fn is_over(tls: &mut SslStream<TcpStream>) -> Result<bool> {
    let Err(error) = tls.ssl_read(&mut [0]) else {
        anyhow::bail!("there is more than what was sent");
    };
    let is_clean = error.code() == ErrorCode::ZERO_RETURN;
    ensure!(
        is_clean == variant()?.out_of_band_alert,
        "the client's end: {error}"
    );
    if is_clean {
        tls.shutdown()?;
    }
    Ok(is_clean)
}

/// What the check of a good certificate gives, where this variant's Windows tells it.
pub fn good() -> Result<&'static str> {
    Ok(if variant()?.certificate_check_result {
        "good"
    } else {
        "not checked"
    })
}

/// A connection that is cut is not one that ends.
#[test]
fn a_server_that_vanishes_is_told_from_one_that_ends() -> Result<()> {
    each_completion_alone("vanishing servers", |lab| {
        let pki = Pki::of(lab)?;
        let identity = pki.trusted.issue(NAME, Kind::Ecdsa, Purpose::Server)?;
        for version in VERSIONS {
            let server = OpensslServer::new(version, &identity, |_| Ok(()))?;
            let forward = Forward::start(lab, server.address()?, &NAMED)?;
            let mut met = server.meet(&forward)?;
            exchange(&mut met, 100)?;
            met.tls.get_ref().shutdown(Shutdown::Both)?;
            let ending = forward.ending()?;
            ensure!(ending.starts_with("broken"), "{version:?}: {ending}");
            let cut = met.plain.read(&mut [0]);
            ensure!(
                cut.is_err(),
                "{version:?}: the cut looks like an end: {cut:?}"
            );
            forward.stop()?;
        }
        Ok(())
    })
}

/// So many bytes each way at once, and no others.
pub fn exchange(met: &mut Met, length: usize) -> Result<()> {
    let up = noise(length, 1);
    let down = noise(length, 2);
    let mut plain = met.plain.try_clone()?;
    let sent = up.clone();
    // OpenSSL's side is one thread: it reads, then writes.
    let client = thread::spawn(move || -> Result<Vec<u8>> {
        plain.write_all(&sent)?;
        let mut heard = vec![0; length];
        plain.read_exact(&mut heard).context("at the client")?;
        Ok(heard)
    });
    let mut heard = vec![0; length];
    met.tls.read_exact(&mut heard).context("at the server")?;
    ensure!(heard == up, "OpenSSL heard something else");
    met.tls.write_all(&down)?;
    let heard = client.join().expect("no panic")?;
    ensure!(heard == down, "the client heard something else");
    Ok(())
}

/// The client ends, then the server, each with close_notify where there is one.
pub fn ends_clean(mut met: Met, forward: &Forward) -> Result<()> {
    met.plain.shutdown(Shutdown::Write)?;
    if !is_over(&mut met.tls)? {
        // OpenSSL takes that for an attack, and says no more.
        met.tls.get_ref().shutdown(Shutdown::Both)?;
        let ending = forward.ending()?;
        ensure!(ending.starts_with("broken"), "{ending}");
        return Ok(());
    }
    let more = met.plain.read(&mut [0]).context("the server's end")?;
    ensure!(more == 0, "there is more than what was sent");
    let ending = forward.ending()?;
    ensure!(ending == "ended", "{ending}");
    Ok(())
}

/// Bytes that compress and repeat little.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..))
        .take(length)
        .collect()
}

/// How often the driver called ksecdd with bytes of a server, or for a first flight.
fn legs(lab: &Lab) -> Result<u64> {
    let calls = lab.ksecdd()?.calls;
    Ok(calls
        .get(&Function::SspiInitializeSecurityContextAsyncW)
        .copied()
        .unwrap_or(0))
}
