//! No memory: each allocation of a handshake's life fails once, with a clear status and no leak.

use crate::{
    bench::{Bench, within},
    switches::StandIns,
    tls,
};
use anyhow::{Context, Result, ensure};
use tlsgate::{
    Certificate, CredentialOptions, Device, Error, NewSession, Start,
    protocol::{NtStatus, SecurityStatus, payload::state},
};
use tlsgate_lab_control::ksecdd::Completion;

/// Far more allocations than a handshake makes.
const MOST: u64 = 500;

/// Rounds without a failure after which there is nothing left to fail.
const QUIET: usize = 5;

/// How a round ended.
enum Round {
    /// Nothing failed.
    Whole,
    /// For want of memory, at this step.
    Failed(&'static str),
}

/// Every allocation in turn.
pub async fn all(bench: &mut Bench) -> Result<()> {
    // What a look-aside list has kept does not fail.
    bench.lab.kmdf(|switches| switches.lookaside_depth = 0)?;
    for completion in [Completion::Inline, Completion::Late] {
        bench.lab.complete(completion)?;
        let mut quiet = 0;
        let mut failed = Vec::new();
        for successes in 0..MOST {
            bench
                .lab
                .kmdf(|switches| switches.fail_allocation_after = Some(successes))?;
            let round = round(bench).await;
            bench
                .lab
                .kmdf(|switches| switches.fail_allocation_after = None)?;
            match round.with_context(|| format!("without allocation {successes}"))? {
                Round::Whole => quiet += 1,
                Round::Failed(step) => {
                    quiet = 0;
                    failed.push(step);
                }
            }
            bench
                .empty()
                .await
                .with_context(|| format!("after allocation {successes} failed"))?;
            if quiet == QUIET {
                break;
            }
        }
        ensure!(quiet == QUIET, "there is no end of allocations");
        failed.dedup();
        println!("{completion:?}: failed in {failed:?}");
        ensure!(failed.len() >= 4, "hardly anything failed");
    }
    bench.lab.complete(Completion::Late)?;
    bench.whole_handshake().await
}

/// A handle's life. Where something fails, the rest is left to the handle's end.
async fn round(bench: &mut Bench) -> Result<Round> {
    let device = match Device::open() {
        Ok(device) => device,
        Err(Error::Open(_)) => return Ok(Round::Failed("open")),
        Err(other) => return Err(other.into()),
    };
    let driver = device.driver();
    // Wine does not tell that IRP_MJ_CREATE failed: the handle has no file behind it.
    match within(driver.version()).await? {
        Err(Error::Refused {
            status: NtStatus::STATUS_INVALID_DEVICE_REQUEST,
            ..
        }) => return Ok(Round::Failed("open")),
        other => other.map(drop)?,
    }
    let options = CredentialOptions::server(Certificate::machine(bench.thumbprint));
    let credential = match within(driver.acquire(&options)).await? {
        Ok(credential) => credential,
        Err(error) => return scarce(&error, "acquire"),
    };
    let mut peer = tls::Peer::new()?;
    let hello = peer.take()?;
    let start = Start::New(NewSession {
        alpn: &[b"h2"],
        ..NewSession::of(credential)
    });
    let leg = match within(driver.accept(start, &hello)).await? {
        Ok(leg) => leg,
        Err(error) => return scarce(&error, "first leg"),
    };
    if leg.state == state::FAILED {
        ensure!(
            leg.status == SecurityStatus::SEC_E_INSUFFICIENT_MEMORY,
            "{leg:?}"
        );
        return Ok(Round::Failed("first call"));
    }
    let session = leg.session.context("no session")?;
    peer.give(&leg.token)?;
    let flight = peer.take()?;
    let next = || within(driver.accept(Start::Continue(session), &flight));
    // Refused for want of memory, nothing has changed: it may be tried again.
    let leg = match next().await? {
        Ok(leg) => leg,
        Err(error) => {
            scarce(&error, "later leg")?;
            exhausted(&mut bench.lab)?;
            next().await??
        }
    };
    if leg.state == state::FAILED {
        ensure!(
            leg.status == SecurityStatus::SEC_E_INSUFFICIENT_MEMORY,
            "{leg:?}"
        );
        return Ok(Round::Failed("later call"));
    }
    peer.give(&leg.token)?;
    tls::talk(&driver, session, &mut peer).await?;
    if let Err(error) = within(driver.close(session)).await? {
        scarce(&error, "close")?;
        within(driver.close(session)).await??;
        return Ok(Round::Failed("close"));
    }
    if let Err(error) = within(driver.release(credential)).await? {
        scarce(&error, "release")?;
        within(driver.release(credential)).await??;
        return Ok(Round::Failed("release"));
    }
    Ok(Round::Whole)
}

/// The allocation that was to fail has failed.
fn exhausted(lab: &mut StandIns) -> Result<()> {
    lab.kmdf(|switches| switches.fail_allocation_after = None)
}

/// The one thing that may have gone wrong.
fn scarce(error: &Error, step: &'static str) -> Result<Round> {
    let is_memory = match error {
        Error::Refused { status, .. } => *status == NtStatus::STATUS_INSUFFICIENT_RESOURCES,
        Error::Security { status, .. } => *status == SecurityStatus::SEC_E_INSUFFICIENT_MEMORY,
        _ => false,
    };
    ensure!(is_memory, "{step}: {error}");
    Ok(Round::Failed(step))
}
