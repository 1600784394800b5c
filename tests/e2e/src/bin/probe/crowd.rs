//! Many: a thousand legs inside ksecdd, and handles opened and closed over and over.

use crate::{
    bench::{Bench, within},
    raw, tls,
};
use anyhow::{Result, ensure};
use std::{num::NonZero, thread};
use tlsgate_client::{
    Device,
    protocol::{SecurityStatus, SessionId},
};
use tlsgate_lab_control::ksecdd::Completion;

/// Legs that pend at once.
const LEGS: usize = 1000;

/// Handles opened and closed.
const CYCLES: usize = 40;

/// Cycles after which the driver's memory must have stopped growing.
const WARM: usize = 10;

/// A leg never parks a thread.
pub async fn all(bench: &mut Bench) -> Result<()> {
    let credential = bench.credential().await?;
    let leg = raw::accept_new(credential, &tls::hello()?);
    bench.lab.complete(Completion::Held)?;
    let legs: Vec<_> = (0..LEGS).map(|_| bench.issue(&leg)).collect();
    bench.held(LEGS).await?;
    let now = bench.statistics().await?;
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = bench.lab.report()?.threads;
    println!("{LEGS} legs inside ksecdd, {threads} threads, {processors} processors");
    ensure!(threads <= 2 * processors, "{threads} threads");
    ensure!(
        now.threads_live == u64::try_from(threads)?
            && now.in_flight_live == u64::try_from(LEGS)?
            && now.sessions_live == u64::try_from(LEGS)?,
        "{now:#?}"
    );
    bench.lab.complete(Completion::Late)?;
    bench.lab.release()?;
    let mut closings = Vec::new();
    for leg in legs {
        let reply = within(leg).await?;
        let reply = reply.map_err(|status| anyhow::anyhow!(crate::bench::name(status)))?;
        let reply = raw::leg(&reply)?;
        ensure!(
            reply.head.status == SecurityStatus::SEC_I_CONTINUE_NEEDED.0 && reply.produced > 0,
            "{reply:?}"
        );
        let session = SessionId::from_wire(reply.session);
        closings.extend(session.map(|session| bench.driver.close(session)));
    }
    ensure!(closings.len() == LEGS, "{} sessions", closings.len());
    for closing in closings {
        within(closing).await??;
    }
    within(bench.driver.release(credential)).await??;
    Ok(())
}

/// Handles that are closed with everything still on them.
pub async fn cycles(bench: &mut Bench) -> Result<()> {
    let mut warm = None;
    for cycle in 0..CYCLES {
        let completion = [Completion::Inline, Completion::Early, Completion::Late][cycle % 3];
        bench.lab.complete(completion)?;
        let device = Device::open()?;
        let driver = device.driver();
        let credential = bench.credential_on(&driver).await?;
        bench.credential_on(&driver).await?;
        tls::begin(&driver, credential).await?;
        tls::establish(&driver, credential).await?;
        drop((driver, device));
        bench.empty().await?;
        if cycle >= WARM {
            let report = settled_report(bench).await?;
            let first = *warm.get_or_insert(report);
            ensure!(
                report == first,
                "after {cycle} cycles {report:?}, before {first:?}"
            );
        }
    }
    bench.lab.complete(Completion::Late)
}

/// Pool blocks, framework objects and tokens; the request that asks is over by then.
async fn settled_report(bench: &mut Bench) -> Result<(usize, usize, usize)> {
    let mut last = None;
    loop {
        let report = bench.lab.report()?;
        if report.requests == 0 && report.files == 1 {
            let figures = (report.pool_blocks, report.objects, report.tokens);
            // The end of a request is told to the program before the last of it is freed.
            if last == Some(figures) {
                return Ok(figures);
            }
            last = Some(figures);
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
