//! One connection that goes on: many requests, much data, new keys.

use crate::{
    client::Client,
    client::VERSIONS,
    flights::{records, whole},
    key_update::{KeyUpdate, update_keys},
    page,
    site::{Site, each_completion},
};
use anyhow::{Context, Result, ensure};
use openssl::ssl::SslVersion;
use tlsgate_lab_control::ksecdd::Function;

#[test]
fn two_hundred_requests_on_one_connection() -> Result<()> {
    each_completion("200 requests", &[], |site| {
        for version in VERSIONS {
            let mut stream = Client::new(version)?.connect(site.socket()?, whole)?;
            for number in 0..200 {
                page::get(&mut stream).with_context(|| format!("{version:?}, page {number}"))?;
            }
        }
        Ok(())
    })
}

/// Some twenty records of full length in one flight.
#[test]
fn a_request_of_many_full_records() -> Result<()> {
    each_completion("a large request", &[], |site| {
        for version in VERSIONS {
            let mut stream = Client::new(version)?.connect(site.socket()?, whole)?;
            let padding = format!("X-Padding: {}\r\n", "x".repeat(300 * 1024));
            page::get_with(&mut stream, &padding)?;
            page::get(&mut stream)?;
        }
        Ok(())
    })
}

/// Every `KeyUpdate` goes through a leg after the handshake; one that asks for the server's gets
/// it.
#[test]
fn key_updates_by_the_client() -> Result<()> {
    each_completion("KeyUpdate", &[], |site| {
        for (kind, answers) in [(KeyUpdate::NotRequested, 0), (KeyUpdate::Requested, 5)] {
            let mut stream = Client::new(SslVersion::TLS1_3)?.connect(site.socket()?, whole)?;
            page::get(&mut stream)?;
            let legs = legs(site)?;
            for _ in 0..5 {
                update_keys(stream.ssl(), kind)?;
                page::get(&mut stream)?;
                page::get(&mut stream)?;
            }
            let more = self::legs(site)? - legs;
            ensure!(more >= 5, "{more} legs for five KeyUpdates");
            let received = stream.get_ref().received();
            let updates = records(received)
                .iter()
                .filter(|record| is_key_update(record))
                .count();
            ensure!(updates == answers, "{updates} KeyUpdates of the server");
        }
        Ok(())
    })
}

/// How often the driver called ksecdd with bytes of a client.
fn legs(site: &Site) -> Result<u64> {
    let calls = site.lab.ksecdd()?.calls;
    Ok(calls
        .get(&Function::SspiAcceptSecurityContextAsync)
        .copied()
        .unwrap_or(0))
}

/// A protected record that holds five bytes: nothing else that the server sends is as short. Type
/// and tag add 17 (RFC 8446, section 5.2).
fn is_key_update(record: &[u8]) -> bool {
    record[0] == 23 && record.len() == 5 + 5 + 17
}
