//! A client that vanishes: at every stage, with RST and with FIN.

use crate::{
    client::{Client, VERSIONS},
    flights::whole,
    page,
    site::{Site, each_completion},
    socket,
};
use anyhow::{Context, Result, ensure};
use openssl::ssl::SslVersion;
use std::{
    io::{self, Write},
    net::TcpStream,
};

/// How much of a flight the server still gets.
#[derive(Clone, Copy, Debug)]
enum Part {
    Nothing,
    Half,
    All,
}

/// The last flight, counted from 0: `ClientHello`, the rest of the handshake, the request.
const STAGES: [(usize, Part); 8] = [
    (0, Part::Nothing),
    (0, Part::Half),
    (0, Part::All),
    (1, Part::Nothing),
    (1, Part::Half),
    (1, Part::All),
    (2, Part::Half),
    (2, Part::All),
];

#[test]
fn a_client_that_vanishes_at_any_stage_leaves_nothing() -> Result<()> {
    each_completion("vanishing client", &[], |site| {
        let before = site.idle()?;
        for version in VERSIONS {
            for (flight, part) in STAGES {
                for how in [end_with_reset, end_with_fin] {
                    // So that a leg is sometimes on its way and sometimes done.
                    for taken in [false, true] {
                        let socket = socket_at(site, version, flight, part, taken)?;
                        how(socket).with_context(|| format!("{version:?}, {flight}, {part:?}"))?;
                    }
                }
                site.settles(&before)
                    .with_context(|| format!("{version:?}, flight {flight}, {part:?}"))?;
            }
        }
        site.serves()
    })
}

/// The server has half a record of each of many clients when all of them go.
#[test]
fn many_clients_that_vanish_at_once_leave_nothing() -> Result<()> {
    each_completion("many vanishing clients", &[], |site| {
        let before = site.idle()?;
        let mut sockets = Vec::new();
        for version in VERSIONS {
            for (flight, part) in STAGES {
                sockets.push(socket_at(site, version, flight, part, false)?);
                sockets.push(socket_at(site, version, flight, part, true)?);
            }
        }
        for socket in sockets {
            end_with_reset(socket)?;
        }
        site.settles(&before)?;
        site.serves()
    })
}

fn end_with_reset(socket: TcpStream) -> Result<()> {
    Ok(socket::reset(socket)?)
}

fn end_with_fin(socket: TcpStream) -> Result<()> {
    socket::finish(socket).context("the server does not end the connection")?;
    Ok(())
}

/// A connection that has got so far; `taken`: and whose bytes the server has read.
fn socket_at(
    site: &Site,
    version: SslVersion,
    last: usize,
    part: Part,
    taken: bool,
) -> Result<TcpStream> {
    let socket = site.socket()?;
    let mut reached = false;
    let send = |mut socket: &TcpStream, number: usize, flight: &[u8]| {
        if number < last {
            return whole(socket, number, flight);
        }
        reached = true;
        match part {
            Part::Nothing => {}
            Part::Half => socket.write_all(&flight[..flight.len() / 2])?,
            Part::All => socket.write_all(flight)?,
        }
        if taken {
            socket::wait_until_taken(socket)?;
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    };
    let client = Client::new(version)?;
    let connected = client
        .connect(socket.try_clone()?, send)
        .and_then(|mut stream| {
            // With TLS 1.3 the client's last flight has not been followed by a read.
            stream.get_mut().depart()?;
            page::get(&mut stream)
        });
    ensure!(
        connected.is_err() && reached,
        "a client that does not vanish"
    );
    Ok(socket)
}
