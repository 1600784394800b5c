//! What legs and sessions cost in memory: of the pool in steady state nothing, and little altogether.
//!
//! Counted is what the driver asks for: of the pool, and of look-aside lists. In steady state those keep some blocks,
//! and then have one whenever they are asked, but for requests that overlap more than any before. The pool adds a
//! header to each block, which is not counted.

use crate::{
    bench::{Bench, answered, send, within},
    raw, tls,
};
use anyhow::{Context, Result, ensure};
use std::{collections::BTreeMap, mem};
use tlsgate::{
    Device, Leg, NewSession, Start,
    protocol::{CredentialId, Ioctl, SessionId, payload::state},
};
use tlsgate_lab_control::ksecdd::{Completion, Function};

/// Lives of sessions before anything is counted: lists have grown by then.
const WARM: usize = 20;

/// What each list keeps meanwhile.
const DEPTH: u16 = 16;

/// Lives of sessions that are counted.
const LIVES: usize = 40;

/// Sessions that idle.
const SESSIONS: usize = 1_000;

/// Most bytes of one.
const SESSION_BYTES: usize = 512;

/// Legs inside ksecdd at a time.
const LEGS: usize = 1_000;

/// Bytes of each one's input.
const INPUT: usize = 4 * 1024;

/// Most bytes of one.
const LEG_BYTES: usize = 40 * 1024;

/// Their time-out in milliseconds: none is to be given up.
const TIME_OUT: u32 = 300_000;

/// Allocations from the pool, by what was asked of the driver.
type Tally = BTreeMap<&'static str, (u64, u64)>;

/// The one after the other.
pub async fn all(bench: &mut Bench) -> Result<()> {
    in_steady_state(bench).await?;
    idle_sessions(bench).await?;
    legs_inside(bench).await
}

/// Whole lives of sessions of both sides, in every way that ksecdd may complete calls.
async fn in_steady_state(bench: &mut Bench) -> Result<()> {
    let (server, client) = (bench.credential().await?, bench.client_credential().await?);
    let mut usual = 0;
    bench
        .lab
        .kmdf(|switches| usual = mem::replace(&mut switches.lookaside_depth, DEPTH))?;
    for completion in [Completion::Inline, Completion::Early, Completion::Late] {
        bench.lab.complete(completion)?;
        for _ in 0..WARM {
            life(bench, server, client, &mut Tally::new()).await?;
        }
        let mut tally = Tally::new();
        let before = bench.lab.report()?.entry_allocations;
        for _ in 0..LIVES {
            life(bench, server, client, &mut tally).await?;
        }
        let told: Vec<_> = tally
            .iter()
            .map(|(what, (requests, allocations))| format!("{what} {allocations} of {requests}"))
            .collect();
        println!("{completion:?}, from the pool: {}", told.join(", "));
        ensure!(
            tally.values().all(|(_, allocations)| *allocations == 0),
            "{completion:?}: {tally:?}"
        );
        let missing = bench.lab.report()?.entry_allocations - before;
        ensure!(
            missing <= DEPTH.into(),
            "{completion:?}: {missing} times a list had nothing"
        );
    }
    bench
        .lab
        .kmdf(|switches| switches.lookaside_depth = usual)?;
    for credential in [server, client] {
        within(bench.driver.release(credential)).await??;
    }
    Ok(())
}

/// A session of each side, which talk to each other.
async fn life(
    bench: &mut Bench,
    server: CredentialId,
    client: CredentialId,
    tally: &mut Tally,
) -> Result<()> {
    let mut last = bench.lab.report()?.pool_allocations;
    let mut count = |bench: &mut Bench, what| {
        let now = bench.lab.report()?.pool_allocations;
        let (requests, allocations) = tally.entry(what).or_default();
        *requests += 1;
        *allocations += now - last;
        last = now;
        anyhow::Ok(())
    };
    let driver = bench.driver.clone();
    let begin = |credential| {
        Start::New(NewSession {
            alpn: &[b"h2"],
            server_name: "localhost",
            ..NewSession::of(credential)
        })
    };
    let hello = within(driver.connect(begin(client), &[])).await??;
    count(bench, "first CONNECT")?;
    let ours = hello.session.context("no session")?;
    let new = Start::New(NewSession {
        alpn: &[b"h2"],
        ..NewSession::of(server)
    });
    let answer = within(driver.accept(new, &hello.token)).await??;
    count(bench, "first ACCEPT")?;
    let theirs = answer.session.context("no session")?;
    let finished = within(driver.connect(Start::Continue(ours), &answer.token)).await??;
    count(bench, "CONNECT")?;
    established(&finished)?;
    let tickets = within(driver.accept(Start::Continue(theirs), &finished.token)).await??;
    count(bench, "ACCEPT")?;
    established(&tickets)?;
    let asked = attributes(bench)?;
    let sealed = within(driver.seal(ours, b"ping")).await??;
    count(bench, "SEAL")?;
    let more = within(driver.seal(ours, b"pong")).await??;
    let asked = attributes(bench)? - asked;
    ensure!(asked == 1, "{asked} queries for two SEALs");
    let opened = within(driver.unseal(theirs, &sealed.bytes)).await??;
    count(bench, "UNSEAL")?;
    ensure!(opened.bytes == b"ping", "{opened:?}");
    let opened = within(driver.unseal(theirs, &more.bytes)).await??;
    ensure!(opened.bytes == b"pong", "{opened:?}");
    within(driver.query_session(theirs)).await??;
    count(bench, "QUERY_SESSION")?;
    within(driver.shutdown(ours)).await??;
    count(bench, "SHUTDOWN")?;
    for session in [ours, theirs] {
        within(driver.close(session)).await??;
        count(bench, "CLOSE_SESSION")?;
    }
    Ok(())
}

/// How often ksecdd has been asked for an attribute of a context.
fn attributes(bench: &mut Bench) -> Result<u64> {
    let calls = bench.lab.state()?.calls;
    let asked = calls.get(&Function::QueryContextAttributesW);
    Ok(asked.copied().unwrap_or(0))
}

fn established(leg: &Leg) -> Result<()> {
    ensure!(leg.state == state::ESTABLISHED, "{leg:?}");
    Ok(())
}

/// Sessions that are established and idle, with their share of tables.
async fn idle_sessions(bench: &mut Bench) -> Result<()> {
    let credential = bench.credential().await?;
    let before = owned(bench).await?;
    let mut sessions = Vec::with_capacity(SESSIONS);
    for _ in 0..SESSIONS {
        let (session, _peer) = tls::establish(&bench.driver, credential).await?;
        sessions.push(session);
    }
    let each = (owned(bench).await? - before) / SESSIONS;
    println!("an idle session of {SESSIONS}: {each} bytes");
    ensure!(each <= SESSION_BYTES, "an idle session has {each} bytes");
    close(bench, sessions).await?;
    within(bench.driver.release(credential)).await??;
    Ok(())
}

/// Legs inside ksecdd. When there were as many before, they ask the pool for nothing.
async fn legs_inside(bench: &mut Bench) -> Result<()> {
    let device = Device::open()?;
    let credential = bench.credential_on(&device.driver()).await?;
    let mut input = tls::hello()?;
    ensure!(input.len() < INPUT, "the hello has {} bytes", input.len());
    // What is behind the first record nobody has looked at when the call is made.
    input.resize(INPUT, 22);
    let leg = raw::within(raw::accept_new(credential, &input), TIME_OUT);
    for is_warm in [false, true] {
        let before = owned(bench).await?;
        let allocations = bench.lab.report()?.pool_allocations;
        bench.lab.complete(Completion::Held)?;
        let legs: Vec<_> = (0..LEGS).map(|_| send(&device, &leg)).collect();
        bench.held(LEGS).await?;
        let report = bench.lab.report()?;
        let each = (report.pool_bytes + report.memory_bytes - before) / LEGS;
        let asked = report.pool_allocations - allocations;
        println!(
            "a leg of {LEGS} inside ksecdd, {INPUT} bytes of input: {each} bytes, session included"
        );
        println!("asked of the pool by {LEGS} legs: {asked} times, {is_warm}");
        ensure!(each <= LEG_BYTES, "a leg inside ksecdd has {each} bytes");
        ensure!(asked == 0 || !is_warm, "the pool was asked {asked} times");
        bench.lab.complete(Completion::Late)?;
        bench.lab.release()?;
        let mut sessions = Vec::with_capacity(LEGS);
        for leg in legs {
            let reply = answered(leg, Ioctl::Accept).await?;
            sessions.push(tls::session(&reply)?);
        }
        for session in sessions {
            within(device.driver().close(session)).await??;
        }
    }
    Ok(())
}

async fn close(bench: &Bench, sessions: Vec<SessionId>) -> Result<()> {
    for session in sessions {
        within(bench.driver.close(session)).await??;
    }
    Ok(())
}

/// Bytes that the driver has asked for and not given back, when nothing is on its way.
async fn owned(bench: &mut Bench) -> Result<usize> {
    let mut last = None;
    loop {
        bench.quiet(0).await?;
        let report = bench.lab.report()?;
        let now = report.pool_bytes + report.memory_bytes;
        // The end of a request is told to the program before the last of it is freed.
        if report.requests == 0 && last == Some(now) {
            return Ok(now);
        }
        last = Some(now);
        tokio::time::sleep(crate::bench::INTERVAL).await;
    }
}
