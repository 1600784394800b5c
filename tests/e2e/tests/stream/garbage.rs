//! Bytes that are no TLS, or stop being it: an alert or a close, soon, and nothing else harmed.

use crate::{
    client::{Client, VERSIONS},
    flights::{records, whole},
    site::{Site, each_completion},
    socket::{self, PATIENCE},
};
use anyhow::{Context, Result, anyhow, ensure};
use fastrand::Rng;
use openssl::ssl::SslVersion;
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// How soon the server must end what cannot become TLS any more: long before it gives up a client
/// that is merely slow.
const SOON: Duration = Duration::from_secs(10);

/// Clients that are there at the same time.
const CROWD: usize = 50;

/// Random cases for each setting.
const RANDOM: usize = 400;

#[test]
fn what_cannot_become_tls_is_refused_at_once() -> Result<()> {
    each_completion("hopeless beginnings", &[], |site| {
        let before = site.idle()?;
        for (name, bytes) in hopeless() {
            let started = Instant::now();
            let said = send(site, &bytes)
                .and_then(|mut socket| {
                    let mut said = Vec::new();
                    match socket.read_to_end(&mut said) {
                        // What the server had not read makes its close a reset.
                        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => {
                            Err(error.into())
                        }
                        _ => Ok(said),
                    }
                })
                .with_context(|| name.to_owned())?;
            ensure!(
                started.elapsed() < SOON,
                "{name}: only after {:?}",
                started.elapsed()
            );
            ensure!(
                said.is_empty() || is_fatal_alert(&said),
                "{name}: the server says {said:?}"
            );
        }
        site.settles(&before)?;
        site.serves()
    })
}

/// Beginnings that no further byte can mend.
fn hopeless() -> Vec<(&'static str, Vec<u8>)> {
    let record = |content: u8, fragment: &[u8]| {
        let length = u16::try_from(fragment.len())
            .expect("a short fragment")
            .to_be_bytes();
        [&[content, 3, 1], &length[..], fragment].concat()
    };
    let message = |kind: u8, body: &[u8]| {
        let length = u32::try_from(body.len())
            .expect("a short message")
            .to_be_bytes();
        record(22, &[&[kind], &length[1..], body].concat())
    };
    vec![
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("SSH", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n".to_vec()),
        ("zeros", vec![0; 100]),
        ("the hello of SSL 2", sslv2_hello()),
        ("major version 2", vec![22, 2, 0, 0, 5, 1, 0, 0, 1, 0]),
        ("major version 4", vec![22, 4, 0, 0, 5, 1, 0, 0, 1, 0]),
        ("unknown content type", record(99, b"hello")),
        ("heartbeat", record(24, &[1, 0, 1, 7])),
        ("no content", record(22, b"")),
        ("longest length", vec![22, 3, 1, 0xFF, 0xFF]),
        ("length of 2^14 + 257", vec![22, 3, 1, 0x41, 0x01]),
        ("fatal alert", record(21, &[2, 40])),
        ("close_notify", record(21, &[1, 0])),
        ("half an alert", record(21, &[2])),
        ("ChangeCipherSpec", record(20, &[1])),
        ("application data", record(23, b"GET / HTTP/1.1\r\n\r\n")),
        ("ServerHello", message(2, &[3; 70])),
        ("Finished", message(20, &[7; 12])),
        ("HelloRequest", message(0, b"")),
        ("unknown message", message(77, &[1, 2, 3])),
        ("empty ClientHello", message(1, b"")),
        ("ClientHello of ones", message(1, &[1; 300])),
        (
            "message of 16 MiB",
            record(22, &[1, 0xFF, 0xFF, 0xFF, 3, 3]),
        ),
    ]
}

/// A `ClientHello` in the format of SSL 2 (RFC 5246, appendix E.2).
fn sslv2_hello() -> Vec<u8> {
    let mut hello = vec![0x80, 46, 1, 3, 1, 0, 21, 0, 0, 0, 16];
    hello.extend([0, 0, 0x2F, 0, 0, 0x35, 0, 0, 0x0A, 7, 0, 0xC0, 1, 0, 0x80]);
    hello.resize(48, 0x5A);
    hello
}

/// Random bytes, with and without a front that looks like TLS, and each `ClientHello` damaged. Some
/// of it might still become TLS: the client's FIN says that it will not.
#[test]
fn random_bytes_end_in_an_alert_or_a_close() -> Result<()> {
    each_completion("random bytes", &[], |site| {
        let before = site.idle()?;
        let hellos = VERSIONS
            .iter()
            .map(|version| Client::new(*version)?.hello(site.socket()?))
            .collect::<Result<Vec<_>>>()?;
        let mut random = Rng::with_seed(0x5EED_0FB1_75A9_D000);
        let cases: Vec<Vec<u8>> = (0..RANDOM)
            .map(|_| random_case(&mut random, &hellos))
            .collect();
        let (mut alerts, mut closes) = (0, 0);
        for crowd in cases.chunks(CROWD) {
            let sockets = crowd
                .iter()
                .map(|bytes| send(site, bytes))
                .collect::<Result<Vec<_>>>()?;
            for (socket, bytes) in sockets.into_iter().zip(crowd) {
                match end_of(socket).with_context(|| format!("after {bytes:?}"))? {
                    said if said.is_empty() => closes += 1,
                    _ => alerts += 1,
                }
            }
        }
        println!("{alerts} were answered, {closes} closed without a word");
        ensure!(
            alerts > RANDOM / 10,
            "only {alerts} of {RANDOM} were answered"
        );
        site.settles(&before)?;
        site.serves()
    })
}

fn random_case(random: &mut Rng, hellos: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; random.usize(1..400)];
    random.fill(&mut bytes);
    let length = u16::try_from(bytes.len()).expect("short").to_be_bytes();
    match random.u8(..6) {
        0 => bytes,
        // A record with random content: whole, or followed by some of another one.
        1 => [&[random.u8(20..24), 3, random.u8(..5)], &length[..], &bytes].concat(),
        // A ClientHello with random content.
        2 => {
            let front = [1, 0, length[0], length[1]];
            let whole = u16::try_from(bytes.len() + 4).expect("short").to_be_bytes();
            [&[22, 3, 1], &whole[..], &front, &bytes].concat()
        }
        // The real one: damaged, cut, or followed by random bytes.
        kind => {
            let mut hello = hellos[random.usize(..hellos.len())].clone();
            match kind {
                3 => {
                    for _ in 0..random.usize(1..4) {
                        let place = random.usize(..hello.len());
                        hello[place] = random.u8(..);
                    }
                }
                4 => hello.truncate(random.usize(1..hello.len())),
                _ => hello.append(&mut bytes),
            }
            hello
        }
    }
}

/// Bytes after which the server may wait for more are not waited for longer than it says.
#[test]
fn a_client_that_stops_talking_is_given_up() -> Result<()> {
    each_completion("silent clients", &["--timeout", "1"], |site| {
        let before = site.idle()?;
        let mut sockets = Vec::new();
        for version in VERSIONS {
            let hello = Client::new(version)?.hello(site.socket()?)?;
            for length in [0, 1, 4, 5, 6, hello.len() / 2, hello.len() - 1, hello.len()] {
                sockets.push(send(site, &hello[..length])?);
            }
        }
        for mut socket in sockets {
            let started = Instant::now();
            socket
                .read_to_end(&mut Vec::new())
                .context("not given up")?;
            ensure!(
                started.elapsed() < SOON,
                "only after {:?}",
                started.elapsed()
            );
        }
        site.settles(&before)?;
        site.serves()
    })
}

/// The last bytes of the handshake are not what they should be, or the first of the request.
#[test]
fn damage_after_the_client_hello_is_an_alert_or_a_close() -> Result<()> {
    each_completion("damage after the ClientHello", &[], |site| {
        let before = site.idle()?;
        for version in VERSIONS {
            for damage in [
                |flight: &mut Vec<u8>| spoil_finished(flight),
                insert_random_record,
            ] {
                let error = damaged(site, version, damage)?;
                ensure!(
                    error.contains("alert number"),
                    "{version:?}: no alert but {error}"
                );
            }
            // No alert can be had from ksecdd where it does not see a record, and when it refuses
            // to unprotect one.
            for damage in [|flight: &mut Vec<u8>| spoil_request(flight), insert_http] {
                let error = damaged(site, version, damage)?;
                let ended = ["alert number", "the answer ends", "unexpected EOF"]
                    .iter()
                    .any(|end| error.contains(end));
                ensure!(ended, "{version:?}: neither close nor alert but {error}");
            }
        }
        site.settles(&before)?;
        site.serves()
    })
}

/// Changes a flight that is not the first; says whether it did.
type Damage = fn(flight: &mut Vec<u8>) -> bool;

/// The second flight's third record, of both versions.
fn spoil_finished(flight: &mut [u8]) -> bool {
    let finished = match *records(flight) {
        [exchange, change, finished] if exchange[0] == 22 => {
            exchange.len() + change.len() + finished.len()
        }
        [change, finished, ..] if change[0] == 20 => change.len() + finished.len(),
        _ => return false,
    };
    flight[finished - 1] ^= 1;
    true
}

fn spoil_request(flight: &mut [u8]) -> bool {
    let lengths: Vec<usize> = records(flight).iter().map(|record| record.len()).collect();
    // In TLS 1.3 the end of the handshake comes first.
    if !matches!(lengths.len(), 1) && flight[0] != 20 {
        return false;
    }
    let last = flight.len() - 1;
    flight[last] ^= 1;
    true
}

fn insert_random_record(flight: &mut Vec<u8>) -> bool {
    let mut fragment = [0; 60];
    Rng::with_seed(11).fill(&mut fragment);
    flight.splice(..0, [&[23, 3, 3, 0, 60], &fragment[..]].concat());
    true
}

fn insert_http(flight: &mut Vec<u8>) -> bool {
    flight.splice(..0, *b"GET / HTTP/1.1\r\n\r\n");
    true
}

/// What OpenSSL says of a connection with this damage.
fn damaged(site: &Site, version: SslVersion, damage: Damage) -> Result<String> {
    let mut damages = 0;
    let client = Client::new(version)?;
    let visited = client.page(site.socket()?, |socket, number, flight| {
        let mut flight = flight.to_vec();
        if number > 0 && damages == 0 && damage(&mut flight) {
            damages += 1;
        }
        whole(socket, number, &flight)
    });
    ensure!(damages == 1, "nothing was damaged");
    match visited {
        Ok(page) => Err(anyhow!("{version:?}: damage goes unnoticed: {page:?}")),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// A connection with these bytes sent.
fn send(site: &Site, bytes: &[u8]) -> Result<TcpStream> {
    let mut socket = site.socket()?;
    socket.write_all(bytes)?;
    Ok(socket)
}

/// Everything that the server says until it ends the connection: records of TLS, if anything.
fn end_of(socket: TcpStream) -> Result<Vec<u8>> {
    match socket::finish(socket) {
        Ok(said) => {
            let tls = records(&said)
                .iter()
                .all(|record| (20..24).contains(&record[0]));
            ensure!(tls, "the server says {said:?}");
            Ok(said)
        }
        // It closed while bytes of ours were unread, or before our FIN.
        Err(error) => match error.kind() {
            std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::NotConnected => Ok(vec![]),
            _ => Err(anyhow!(error)).context(format!("no end within {PATIENCE:?}")),
        },
    }
}

/// One unprotected fatal alert.
fn is_fatal_alert(said: &[u8]) -> bool {
    matches!(said, [21, 3, _, 0, 2, 2, _])
}
