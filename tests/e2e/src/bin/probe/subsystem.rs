//! A security subsystem that takes its time, or does not answer at all.

use crate::{
    bench::{Bench, answered, within},
    events, raw, tls,
};
use anyhow::{Result, ensure};
use clap::ValueEnum;
use std::process;
use tlsgate::protocol::{
    SecurityStatus,
    payload::{StatisticsReply, state},
};
use tlsgate_lab_control::ksecdd::{Effect, Function};

/// How long it takes, in milliseconds, and the legs' time-out.
const SLOW: u64 = 30_000;
const TIME_OUT: u32 = 200_000;

/// From when on a call is slow unless an administrator says otherwise, in microseconds.
const THRESHOLD: u64 = 5_000_000;

/// What it says when it fails.
const WRONG: SecurityStatus = SecurityStatus::SEC_E_INTERNAL_ERROR;

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subsystem {
    /// It answers late.
    Slow,
    /// It never answers; the program ends meanwhile.
    Never,
}

/// As the test wants it.
pub async fn all(bench: &mut Bench, subsystem: Subsystem) -> Result<()> {
    match subsystem {
        Subsystem::Slow => slow(bench).await,
        Subsystem::Never => {
            let credential = bench.credential().await?;
            let leg = raw::accept_new(credential, &tls::hello()?);
            never(bench, Function::SspiAcceptSecurityContextAsync)?;
            bench.issue(&leg).detach();
            bench.held(1).await?;
            process::exit(0);
        }
    }
}

async fn slow(bench: &mut Bench) -> Result<()> {
    bench.lab.listen(true)?;
    let credential = bench.credential().await?;
    let leg = raw::within(raw::accept_new(credential, &tls::hello()?), TIME_OUT);
    let acquire = raw::within(raw::acquire(bench.thumbprint, ""), TIME_OUT);

    let before = bench.statistics().await?;
    let reply = half_a_minute(bench, &leg, Function::SspiAcceptSecurityContextAsync).await?;
    let session = tls::session(&reply)?;
    let now = bench.statistics().await?;
    ensure!(
        long_legs(&now) == long_legs(&before) + 1,
        "{:?}",
        now.leg_latency
    );
    within(bench.driver.close(session)).await??;
    half_a_minute(
        bench,
        &acquire,
        Function::SspiAcquireCredentialsHandleAsyncW,
    )
    .await?;

    // Late, but not so late that it is worth a word.
    let before = bench.statistics().await?;
    for status in [None, Some(WRONG.0)] {
        bench.lab.fault(
            Function::SspiAcceptSecurityContextAsync,
            &[Effect::CompletedLateAfter { status, ms: 300 }],
        )?;
        let reply = bench.reply(&leg).await?;
        let session = tls::session(&reply)?;
        let reply = raw::leg(&reply)?;
        let due = match status {
            None => (SecurityStatus::SEC_I_CONTINUE_NEEDED.0, state::HANDSHAKING),
            Some(status) => (status, state::FAILED),
        };
        ensure!((reply.head.status, reply.state) == due, "{reply:?}");
        within(bench.driver.close(session)).await??;
    }
    let now = bench.statistics().await?;
    ensure!(now.slow_calls == before.slow_calls, "{now:#?}");
    bench.lab.listen(false)?;
    *bench = Bench::open(bench.thumbprint)?;
    Ok(())
}

/// A request that takes so long; its reply when it comes.
async fn half_a_minute(
    bench: &mut Bench,
    request: &raw::Request,
    function: Function,
) -> Result<Vec<u8>> {
    let (before, last) = (bench.statistics().await?, events::last(&mut bench.lab)?);
    never(bench, function)?;
    let operation = bench.issue(request);
    bench.held(1).await?;
    bench.lab.advance(SLOW)?;
    bench
        .settle("a slow call", |now| now.slow_calls == before.slow_calls + 1)
        .await?;
    events::come(bench, last, "LegSlow").await?;
    let written = bench.lab.events(last)?;
    let event = events::only(&written, "LegSlow")?;
    let elapsed = events::number(event, "elapsed_us")?;
    ensure!(
        event.level == 3 && (THRESHOLD..2 * SLOW * 1_000).contains(&elapsed),
        "{event:?}"
    );
    let started = written.iter().find(|it| it.name == "SessionStarted");
    let session = started.map_or(0, |it| events::number(it, "session").unwrap_or(0));
    ensure!(events::number(event, "session")? == session, "{event:?}");
    // Once a call, however long it takes.
    bench.lab.advance(SLOW)?;
    bench.lab.release()?;
    let reply = answered(operation, function).await?;
    let now = bench.statistics().await?;
    ensure!(
        now.slow_calls == before.slow_calls + 1 && now.timed_out == before.timed_out,
        "{now:#?}"
    );
    Ok(reply)
}

fn never(bench: &mut Bench, function: Function) -> Result<()> {
    bench.lab.fault(function, &[Effect::Never])
}

/// Legs that took longer than half a minute: 2^25 microseconds and more.
fn long_legs(statistics: &StatisticsReply) -> u64 {
    statistics.leg_latency.iter().skip(25).sum()
}
