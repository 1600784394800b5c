//! A server's bytes as they may come to the driver's client: records together that belong to
//! different things, and records cut anywhere.

use crate::{
    as_client::noise,
    carried::Forward,
    client::VERSIONS,
    flights::{Flights, cut_last, each_cut, last_record, pieces, records, whole},
    key_update::{KeyUpdate, update_keys},
    openssl_server::OpensslServer,
    pki::{Kind, NAME, Pki, Purpose},
    records::with_each_habit,
    site::each_completion_alone,
};
use anyhow::{Context, Result, ensure};
use openssl::ssl::{SslOptions, SslSessionCacheMode, SslStream, SslVersion};
use std::{
    cell::Cell,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
};
use tlsgate_e2e::{Lab, variant};

const NAMED: [&str; 2] = ["--server-name", NAME];

/// Application data before, between and behind other messages.
const PARTS: [&[u8]; 4] = [b"one, ", b"two, ", b"three, ", b"and four"];

/// The end of the handshake, tickets and data: with TLS 1.2 the ticket comes before Finished, with
/// TLS 1.3 behind the client's.
#[test]
fn data_in_one_segment_with_the_end_of_the_handshake() -> Result<()> {
    each_completion_alone("data behind the handshake", |lab| {
        let pki = Pki::of(lab)?;
        let identity = pki.trusted.issue(NAME, Kind::Ecdsa, Purpose::Server)?;
        with_each_habit(lab, || {
            for version in VERSIONS {
                let server = OpensslServer::new(version, &identity, |_| Ok(()))?;
                let forward = Forward::start(lab, server.address()?, &NAMED)?;
                // The second one is resumed.
                for resumed in [false, true] {
                    let last = Cell::new(0);
                    let mut plain = forward.dial()?;
                    let mut tls = server.accept_in_flights(|socket, number, flight| {
                        last.set(records(flight).len());
                        whole(socket, number, flight)
                    })?;
                    tls.accept()?;
                    for part in PARTS {
                        tls.write_all(part)?;
                    }
                    tls.get_mut().depart()?;
                    // Tickets or Finished come before the data, but not behind the Finished of a
                    // client that resumes TLS 1.2.
                    let alone = resumed && version == SslVersion::TLS1_2;
                    ensure!(
                        (last.get() == PARTS.len()) == alone,
                        "{version:?}, resumed {resumed}: {} records",
                        last.get()
                    );
                    hears(&mut plain, &PARTS.concat())?;
                    let word = if resumed { "yes" } else { "no" };
                    forward.facts()?.are(&[("resumed", word)])?;
                    answers(&mut plain, &mut tls)?;
                    ends(plain, &mut tls, &forward)?;
                }
                forward.stop()?;
            }
            Ok(())
        })
    })
}

/// A server may speak before it has heard the client's Finished (RFC 8446, section 4.4.4).
#[test]
fn data_in_one_segment_with_the_server_s_finished() -> Result<()> {
    each_completion_alone("data behind Finished", |lab| {
        let pki = Pki::of(lab)?;
        let identity = pki.trusted.issue(NAME, Kind::Ecdsa, Purpose::Server)?;
        with_each_habit(lab, || {
            let server = OpensslServer::new(SslVersion::TLS1_3, &identity, |_| Ok(()))?;
            let forward = Forward::start(lab, server.address()?, &NAMED)?;
            let mut plain = forward.dial()?;
            let flights = Cell::new(0);
            let mut tls = server.accept_in_flights(|socket, number, flight| {
                flights.set(number + 1);
                whole(socket, number, flight)
            })?;
            // There is none: OpenSSL lets a server write early only when it has looked.
            ensure!(tls.read_early_data(&mut [0])? == 0, "early data");
            for part in PARTS {
                tls.write_early_data(part)?;
            }
            ensure!(flights.get() == 0, "it has not come together");
            tls.accept()?;
            hears(&mut plain, &PARTS.concat())?;
            forward.facts()?.are(&[("session", "established")])?;
            answers(&mut plain, &mut tls)?;
            ends(plain, &mut tls, &forward)?;
            forward.stop()
        })
    })
}

#[test]
fn data_and_key_updates_of_the_server_in_one_segment() -> Result<()> {
    each_completion_alone("KeyUpdate among data", |lab| {
        let pki = Pki::of(lab)?;
        let identity = pki.trusted.issue(NAME, Kind::Ecdsa, Purpose::Server)?;
        let server = OpensslServer::new(SslVersion::TLS1_3, &identity, |_| Ok(()))?;
        for kind in [KeyUpdate::NotRequested, KeyUpdate::Requested] {
            let forward = Forward::start(lab, server.address()?, &NAMED)?;
            let most = Cell::new(0);
            let mut plain = forward.dial()?;
            let mut tls = server.accept_in_flights(|socket, number, flight| {
                most.set(most.get().max(records(flight).len()));
                whole(socket, number, flight)
            })?;
            tls.accept()?;
            tls.get_mut().depart()?;
            most.set(0);
            for round in 0..5 {
                for (number, part) in PARTS.into_iter().enumerate() {
                    if number > 0 {
                        update_keys(tls.ssl(), kind)?;
                    }
                    tls.write_all(part)?;
                }
                tls.get_mut().depart()?;
                hears(&mut plain, &PARTS.concat()).with_context(|| format!("round {round}"))?;
                answers(&mut plain, &mut tls).with_context(|| format!("round {round}"))?;
            }
            // A KeyUpdate between each part and the next.
            let expected = 2 * PARTS.len() - 1;
            ensure!(most.get() == expected, "{} records", most.get());
            forward.facts()?.are(&[("protocol", "TLSv1.3")])?;
            ends(plain, &mut tls, &forward)?;
            forward.stop()?;
        }
        Ok(())
    })
}

#[test]
fn a_server_byte_by_byte() -> Result<()> {
    each_completion_alone("a server's bytes", |lab| {
        for version in VERSIONS {
            let server = never_resuming(lab, version)?;
            let forward = Forward::start(lab, server.address()?, &NAMED)?;
            speaks(&server, &forward, |socket, _, flight| {
                pieces(socket, flight.chunks(1))
            })?;
            forward.stop()?;
        }
        Ok(())
    })
}

#[test]
fn the_last_record_of_the_server_s_flights_cut_at_every_offset() -> Result<()> {
    each_completion_alone("a server's last records cut", |lab| {
        for version in VERSIONS {
            let server = never_resuming(lab, version)?;
            let forward = Forward::start(lab, server.address()?, &NAMED)?;
            let (flights, longest) = (Cell::new(0), Cell::new(0));
            speaks(&server, &forward, |socket, number, flight| {
                flights.set(number + 1);
                longest.set(longest.get().max(last_record(flight)));
                whole(socket, number, flight)
            })?;
            ensure!(flights.get() >= 2, "{} flights", flights.get());
            forward.stop()?;
            each_cut(longest.get(), |cuts| {
                let server = never_resuming(lab, version)?;
                let forward = Forward::start(lab, server.address()?, &NAMED)?;
                for cut in cuts {
                    speaks(&server, &forward, |socket, _, flight| {
                        cut_last(socket, flight, cut)
                    })
                    .with_context(|| format!("{version:?}, cut at {cut}"))?;
                }
                forward.stop()
            })?;
        }
        Ok(())
    })
}

/// One whose handshakes are all whole ones.
fn never_resuming(lab: &Lab, version: SslVersion) -> Result<OpensslServer> {
    let identity = Pki::of(lab)?
        .trusted
        .issue(NAME, Kind::Ecdsa, Purpose::Server)?;
    OpensslServer::new(version, &identity, |context| {
        context.set_options(SslOptions::NO_TICKET);
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        Ok(context.set_num_tickets(0)?)
    })
}

/// A connection, from the handshake to the end, with the server's flights sent by `send`.
fn speaks(
    server: &OpensslServer,
    forward: &Forward,
    send: impl FnMut(&TcpStream, usize, &[u8]) -> io::Result<()>,
) -> Result<()> {
    let mut plain = forward.dial()?;
    let mut tls = server.accept_in_flights(send)?;
    tls.accept()?;
    let data = noise(60, 5);
    tls.write_all(&data)?;
    tls.get_mut().depart()?;
    hears(&mut plain, &data)?;
    forward.facts()?.are(&[("resumed", "no")])?;
    answers(&mut plain, &mut tls)?;
    ends(plain, &mut tls, forward)
}

/// Exactly this has come through.
fn hears(plain: &mut TcpStream, data: &[u8]) -> Result<()> {
    let mut heard = vec![0; data.len()];
    plain.read_exact(&mut heard).context("at the client")?;
    ensure!(
        heard == data,
        "the client heard {:?}",
        String::from_utf8_lossy(&heard)
    );
    Ok(())
}

/// The other way works, too.
fn answers(plain: &mut TcpStream, tls: &mut impl Read) -> Result<()> {
    plain.write_all(b"answer")?;
    let mut heard = [0; 6];
    tls.read_exact(&mut heard).context("at the server")?;
    ensure!(heard == *b"answer", "the server heard {heard:?}");
    Ok(())
}

/// The client ends, then the server.
fn ends<F>(mut plain: TcpStream, tls: &mut SslStream<Flights<F>>, forward: &Forward) -> Result<()>
where
    F: FnMut(&TcpStream, usize, &[u8]) -> io::Result<()>,
{
    plain.shutdown(Shutdown::Write)?;
    if !variant()?.out_of_band_alert {
        // Without close_notify it is open who hears of the end, and how.
        return Ok(());
    }
    ensure!(tls.read(&mut [0])? == 0, "there is more than the answer");
    tls.shutdown()?;
    tls.get_mut().depart()?;
    ensure!(
        plain.read(&mut [0])? == 0,
        "there is more than what was sent"
    );
    let ending = forward.ending()?;
    ensure!(ending == "ended", "{ending}");
    Ok(())
}
