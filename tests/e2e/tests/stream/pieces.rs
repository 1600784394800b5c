//! The same bytes in other pieces: one at a time, and records cut at every place.

use crate::{
    client::{Client, VERSIONS, says_the_same},
    flights::{cut_last, each_cut, last_record, pieces, whole},
    page,
    site::{Site, each_completion},
};
use anyhow::{Context, Result, ensure};
use std::{io, net::TcpStream};
use tlsgate_lab_control::kmdf;

#[test]
fn byte_by_byte() -> Result<()> {
    each_completion("byte by byte", &["--alpn", "http/1.1"], |site| {
        for version in VERSIONS {
            let client = Client::with_alpn(version, &["http/1.1"])?;
            let legs = ioctls(site)?;
            let mut bytes = 0;
            client.page(site.socket()?, |socket, _, flight| {
                bytes += flight.len();
                pieces(socket, flight.chunks(1))
            })?;
            // The server asks the driver whenever it has read while the handshake goes on.
            let legs = ioctls(site)? - legs;
            ensure!(
                legs > 200,
                "{legs} IOCTLs for {bytes} bytes: they came together"
            );
        }
        Ok(())
    })
}

#[test]
fn the_client_hello_cut_at_every_offset() -> Result<()> {
    each_completion(
        "ClientHello cut everywhere",
        &["--alpn", "http/1.1"],
        |site| {
            let before = site.idle()?;
            for version in VERSIONS {
                let client = Client::with_alpn(version, &["http/1.1"])?;
                let length = client.hello(site.socket()?)?.len();
                site.settles(&before)?;
                let first = ioctls(site)?;
                client.plainly(site.socket()?)?;
                site.settles(&before)?;
                let uncut = ioctls(site)? - first;
                for cut in 1..length {
                    cut_at(site, &client, cut)
                        .with_context(|| format!("cut at {cut} of {length}"))?;
                }
                site.settles(&before)?;
                // Each cut is one more leg than without it; the first connections count too.
                let (cuts, all) = (u64::try_from(length - 1)?, ioctls(site)? - first - uncut);
                ensure!(
                    all >= cuts * (uncut + 1),
                    "{cuts} cuts, but {all} IOCTLs; {uncut} without"
                );
            }
            Ok(())
        },
    )
}

/// The client's Finished, and its request.
#[test]
fn the_last_record_of_the_client_s_flights_cut_at_every_offset() -> Result<()> {
    each_completion("a client's last records cut", &[], |site| {
        for version in VERSIONS {
            let client = Client::new(version)?;
            let (mut flights, mut longest) = (0, 0);
            speaks(site, &client, |socket, number, flight| {
                flights = number + 1;
                if number > 0 {
                    longest = longest.max(last_record(flight));
                }
                whole(socket, number, flight)
            })?;
            ensure!(flights == 3, "{flights} flights");
            each_cut(longest, |mut cuts| {
                cuts.try_for_each(|cut| {
                    speaks(site, &client, |socket, number, flight| match number {
                        0 => whole(socket, number, flight),
                        _ => cut_last(socket, flight, cut),
                    })
                    .with_context(|| format!("{version:?}, cut at {cut}"))
                })
            })?;
        }
        Ok(())
    })
}

/// A page, with Finished in a flight of its own.
fn speaks(
    site: &Site,
    client: &Client,
    send: impl FnMut(&TcpStream, usize, &[u8]) -> io::Result<()>,
) -> Result<()> {
    let mut stream = client.connect(site.socket()?, send)?;
    stream.get_mut().depart()?;
    let page = page::get(&mut stream)?;
    says_the_same(&page, &stream)
}

fn cut_at(site: &Site, client: &Client, cut: usize) -> Result<()> {
    client.page(site.socket()?, |socket, number, flight| match number {
        0 => pieces(socket, <[_; 2]>::from(flight.split_at(cut))),
        _ => whole(socket, number, flight),
    })?;
    Ok(())
}

fn ioctls(site: &Site) -> Result<u64> {
    Ok(kmdf::report(&mut site.lab.machine().remote(kmdf::MODULE)?)?.ioctls)
}
