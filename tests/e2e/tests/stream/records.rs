//! Records that do not match segments: several in one, and a `ClientHello` in many small ones.

use crate::{
    client::{Client, VERSIONS},
    flights::{pieces, records, reframed, whole},
    page,
    site::each_completion,
};
use anyhow::{Context, Result, ensure};
use openssl::ssl::SslVersion;
use std::io::Write;
use tlsgate_e2e::Lab;
use tlsgate_lab_control::ksecdd::{Fragments, Records};

/// What the documents leave open of how a leg uses its input, in every combination.
const HABITS: [(Records, Fragments); 4] = [
    (Records::All, Fragments::Kept),
    (Records::All, Fragments::Consumed),
    (Records::One, Fragments::Kept),
    (Records::One, Fragments::Consumed),
];

/// Runs a scenario with each of them.
pub fn with_each_habit(lab: &Lab, scenario: impl Fn() -> Result<()>) -> Result<()> {
    for (records, fragments) in HABITS {
        lab.switch(|switches| {
            switches.records = records;
            switches.fragments = fragments;
        })?;
        scenario().with_context(|| format!("records {records:?}, fragments {fragments:?}"))?;
    }
    lab.switch(|switches| {
        (switches.records, switches.fragments) = HABITS[0];
    })
}

/// The end of the handshake and the request in one segment.
#[test]
fn several_records_in_one_segment() -> Result<()> {
    each_completion("several records in one segment", &[], |site| {
        with_each_habit(site.lab, || {
            for version in VERSIONS {
                let mut most = 0;
                Client::new(version)?.page(site.socket()?, |socket, number, flight| {
                    most = most.max(records(flight).len());
                    whole(socket, number, flight)
                })?;
                // ChangeCipherSpec, Finished, request; or with TLS 1.2, whose client hears the
                // server's Finished first, ClientKeyExchange, ChangeCipherSpec, Finished.
                ensure!(most == 3, "at most {most} records in a flight");
            }
            Ok(())
        })
    })
}

/// The request's own bytes in many records of one segment, with a last one that comes in two.
#[test]
fn many_request_records_with_the_end_of_the_handshake() -> Result<()> {
    each_completion("many request records", &[], |site| {
        with_each_habit(site.lab, || {
            let client = Client::new(SslVersion::TLS1_3)?;
            let mut stream = client.connect(site.socket()?, |socket, number, flight| {
                if number == 0 {
                    return whole(socket, number, flight);
                }
                let last = records(flight).last().map_or(0, |record| record.len());
                pieces(
                    socket,
                    <[_; 2]>::from(flight.split_at(flight.len() - last / 2)),
                )
            })?;
            for line in [
                "GET / HT",
                "TP/1.1\r\nHost: local",
                "host\r\nX-Pad",
                "ding: ",
            ] {
                stream.write_all(line.as_bytes())?;
            }
            stream.write_all("x".repeat(20_000).as_bytes())?;
            stream.write_all(b"\r\n\r\n")?;
            page::read(&mut stream)?;
            Ok(())
        })
    })
}

#[test]
fn a_client_hello_in_many_records() -> Result<()> {
    each_completion("ClientHello in many records", &[], |site| {
        with_each_habit(site.lab, || {
            for version in VERSIONS {
                let client = Client::new(version)?;
                for size in [1, 2, 3, 4, 5, 50, 100] {
                    for apart in [false, true] {
                        client
                            .page(site.socket()?, |socket, number, flight| {
                                if number > 0 {
                                    return whole(socket, number, flight);
                                }
                                let records = reframed(flight, size);
                                if apart {
                                    pieces(socket, records.iter().map(Vec::as_slice))
                                } else {
                                    whole(socket, number, &records.concat())
                                }
                            })
                            .with_context(|| format!("{version:?}, {size} a record, {apart}"))?;
                    }
                }
            }
            Ok(())
        })
    })
}
