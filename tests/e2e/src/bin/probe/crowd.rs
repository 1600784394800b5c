//! Many: ten thousand legs at a time, and handles opened and closed over and over.

use crate::{
    bench::{Bench, INTERVAL, answer_so_far, name, send, within},
    raw, tls,
};
use anyhow::{Result, anyhow, ensure};
use std::{num::NonZero, thread};
use tlsgate::{Device, device::Operation, protocol::SecurityStatus};
use tlsgate_lab_control::ksecdd::Completion;

/// Legs that pend at once.
pub const LEGS: usize = 10_000;

/// Their time-out in milliseconds: nobody is to be given up while the crowd gathers.
const TIME_OUT: u32 = 300_000;

/// Legs that are answered one by one.
const ANSWERED: usize = 100;

/// Handles opened and closed.
const CYCLES: usize = 40;

/// Cycles after which the driver's memory must have stopped growing.
const WARM: usize = 10;

/// A leg never parks a thread: so many are inside ksecdd, all others wait. When they are let go, as
/// many as wanted get their reply; the others go with their handle, the waiting ones at once.
pub async fn all(bench: &mut Bench, inside: usize) -> Result<()> {
    let device = Device::open()?;
    let driver = device.driver();
    let credential = bench.credential_on(&driver).await?;
    let leg = raw::within(raw::accept_new(credential, &tls::hello()?), TIME_OUT);
    bench.lab.complete(Completion::Held)?;
    let mut legs: Vec<_> = (0..LEGS).map(|_| send(&device, &leg)).collect();
    bench
        .settle("the crowd", |now| {
            now.in_flight_live == count(inside) && now.waiting_live == count(LEGS - inside)
        })
        .await?;
    bench.held(inside).await?;
    let now = bench.statistics().await?;
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = bench.lab.report()?.threads;
    println!("{LEGS} legs, {inside} inside ksecdd, {threads} threads, {processors} processors");
    ensure!(threads <= 2 * processors, "{threads} threads");
    ensure!(
        now.threads_live == count(threads) && now.sessions_live == count(LEGS),
        "{now:#?}"
    );

    // Each that ends lets one in.
    let released = bench.lab.release_some(Some(ANSWERED))?;
    ensure!(released == ANSWERED, "{released} calls were released");
    within(first_answers(&mut legs)).await??;
    let waiting = LEGS.saturating_sub(inside + ANSWERED);
    bench
        .settle("the next of the crowd", |now| {
            now.waiting_live == count(waiting)
        })
        .await?;
    let held = inside.min(LEGS - ANSWERED);
    bench.held(held).await?;

    for leg in legs {
        leg.detach();
    }
    let before = bench.statistics().await?;
    drop((driver, device));
    let due = before.cancelled + count(LEGS - ANSWERED);
    bench
        .settle("the crowd's end", |now| {
            now.cancelled == due && now.orphans_live == count(held)
        })
        .await?;
    bench.lab.complete(Completion::Late)?;
    bench.lab.release()?;
    Ok(())
}

/// Which legs are the first is the driver's business: its threads and the framework's are several.
async fn first_answers(legs: &mut Vec<Operation>) -> Result<()> {
    while legs.len() > LEGS - ANSWERED {
        let mut left = Vec::with_capacity(legs.len());
        for mut leg in legs.drain(..) {
            let Some(answer) = answer_so_far(&mut leg).await else {
                left.push(leg);
                continue;
            };
            let reply = raw::leg(&answer.map_err(|status| anyhow!(name(status)))?)?;
            ensure!(
                reply.head.status == SecurityStatus::SEC_I_CONTINUE_NEEDED.0 && reply.produced > 0,
                "{reply:?}"
            );
        }
        *legs = left;
        tokio::time::sleep(INTERVAL).await;
    }
    ensure!(legs.len() == LEGS - ANSWERED, "{} legs pend", legs.len());
    Ok(())
}

fn count(number: usize) -> u64 {
    number as u64
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
