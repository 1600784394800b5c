//! Many handshakes: at once, and one after another.

use crate::{
    client::{Client, VERSIONS},
    crowd,
    site::each_completion,
    socket::PATIENCE,
};
use anyhow::{Context, Result, ensure};
use tlsgate_lab_control::ksecdd::Completion;
use tlsgate_lab_machine::wait_until;

/// Handshakes in sequence.
const SEQUENCE: usize = 1000;

#[test]
fn sixty_four_at_once() -> Result<()> {
    each_completion("64 at once", &["--alpn", "http/1.1"], |site| {
        let before = site.idle()?;
        crowd::visit(site, || Ok(()))?;
        site.settles(&before)
    })
}

/// All first legs are inside ksecdd at the same time.
#[test]
fn sixty_four_held_at_once() -> Result<()> {
    each_completion("64 held at once", &[], |site| {
        let before = site.idle()?;
        site.lab.complete(Completion::Held)?;
        crowd::visit(site, || {
            wait_until("all to be held", PATIENCE, || {
                Ok((site.lab.ksecdd()?.held == crowd::SIZE).then_some(()))
            })?;
            site.lab.complete(site.completion)?;
            ensure!(
                site.lab.release(None)? == crowd::SIZE,
                "not all were released"
            );
            Ok(())
        })?;
        site.settles(&before)
    })
}

#[test]
fn a_thousand_in_sequence_without_growth() -> Result<()> {
    each_completion("1,000 in sequence", &["--alpn", "http/1.1"], |site| {
        let clients = VERSIONS
            .map(Client::new)
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        // So many at once make every table larger than a sequence could.
        let before = site.idle()?;
        let bytes = site.pool_bytes()?;
        for number in 1..=SEQUENCE {
            let client = &clients[number % clients.len()];
            client
                .plainly(site.socket()?)
                .with_context(|| format!("handshake {number}"))?;
        }
        site.settles(&before)?;
        let more = site.pool_bytes()?;
        ensure!(more == bytes, "{bytes} bytes of pool before, {more} after");
        Ok(())
    })
}
