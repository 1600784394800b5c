//! Many handshakes, at once and one after another, and what the driver counts.

use crate::selftest::{
    peer::{self, Version},
    pki::{NAME, reference},
    site::{Handle, Site, end, exchange},
};
use anyhow::{Context, Result, ensure};
use rustls::client::Resumption;
use std::{sync::Arc, time::Instant};
use tlsgate::{
    CredentialOptions,
    protocol::payload::{StatisticsReply, exports},
};
use tokio::{sync::Barrier, task::JoinSet};

/// Connections that are open at the same time.
const CROWD: usize = 64;

/// Handshakes one after another; the first ones are for what is made once and kept.
const WARMING_UP: u32 = 20;
const SEQUENCE: u32 = 500;

/// Bytes each way after a handshake.
const SOME: usize = 100;

/// The highest IRQL that a callback may have: DISPATCH_LEVEL.
const HIGHEST_IRQL: u64 = 2;

pub async fn many_at_once(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let server = handle.server(&options).await?;
    let peers = [Version::Tls12, Version::Tls13].map(|version| peer::client(&site.pki, version));
    let peers = peers.into_iter().map(|it| it.map(Arc::new));
    let peers: Vec<_> = peers.collect::<Result<_>>()?;
    let all = Arc::new(Barrier::new(CROWD));
    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        let (server, all) = (server.clone(), Arc::clone(&all));
        let peer = Arc::clone(&peers[number % peers.len()]);
        crowd.spawn(async move {
            let met = server.meet(&peer, NAME).await;
            // Those that failed come here, too: the others wait for all.
            all.wait().await;
            let (mut ours, mut theirs) = met?;
            exchange(&mut ours, &mut theirs, SOME).await?;
            end(ours, theirs).await
        });
    }
    while let Some(ended) = crowd.join_next().await {
        ended.context("a task failed")??;
    }
    server.release().await?;
    Ok(format!("{CROWD} connections"))
}

pub async fn many_in_sequence(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let server = handle.server(&options).await?;
    let mut peer = peer::client(&site.pki, Version::Tls13)?;
    peer.resumption = Resumption::disabled();
    let peer = Arc::new(peer);
    let handshakes = async |count| {
        for number in 0..count {
            let met = server.meet(&peer, NAME).await;
            let (ours, theirs) = met.with_context(|| format!("handshake {number}"))?;
            end(ours, theirs).await?;
        }
        quiet(&handle).await
    };
    let before = handshakes(WARMING_UP).await?;
    let started = Instant::now();
    let after = handshakes(SEQUENCE).await?;
    let took = started.elapsed() / SEQUENCE;
    let alive = |it: &StatisticsReply| {
        [
            ("sessions", it.sessions_live),
            ("credentials", it.credentials_live),
            ("async contexts", it.async_contexts_live),
            ("quarantined async contexts", it.quarantined_live),
            ("threads", it.threads_live),
        ]
    };
    for ((what, before), (_, after)) in alive(&before).into_iter().zip(alive(&after)) {
        ensure!(after <= before, "{what}: {before} before, {after} after");
    }
    let counted = after.handshakes - before.handshakes;
    ensure!(
        counted == u64::from(SEQUENCE),
        "{counted} handshakes were counted, not {SEQUENCE}"
    );
    Ok(format!("{} us each", took.as_micros()))
}

async fn quiet(handle: &Handle) -> Result<StatisticsReply> {
    handle
        .settle("what is inside ksecdd", |now| {
            now.in_flight_live == 0 && now.waiting_live == 0
        })
        .await?;
    handle.statistics().await
}

/// What the driver counts adds up, and ksecdd keeps its side of the contract.
pub async fn counts(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let before = quiet(&handle).await?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let server = handle.server(&options).await?;
    let peer = Arc::new(peer::client(&site.pki, Version::Tls13)?);
    let (ours, theirs) = server.meet(&peer, NAME).await?;
    end(ours, theirs).await?;
    server.release().await?;
    let now = quiet(&handle).await?;

    let ended = |it: &StatisticsReply| {
        it.completed_inline + it.completed_early + it.completed_late + it.calls_refused
    };
    let (calls, ended) = (now.calls - before.calls, ended(&now) - ended(&before));
    ensure!(calls == ended, "{calls} calls were made and {ended} ended");
    // Acquire, two legs at least, delete, free.
    ensure!(
        calls >= 5,
        "{calls} calls for a handshake and its credential"
    );
    let latency = |it: &StatisticsReply| it.leg_latency.iter().sum::<u64>();
    let legs = latency(&now) - latency(&before);
    ensure!(
        (2..calls).contains(&legs),
        "{legs} of {calls} calls were legs"
    );
    let made = (
        now.sessions_made - before.sessions_made,
        now.handshakes - before.handshakes,
        now.sessions_failed - before.sessions_failed,
    );
    ensure!(
        made == (1, 1, 0),
        "sessions made, established, failed: {made:?}"
    );
    let faults = [
        (
            "callbacks out of turn",
            now.stray_callbacks - before.stray_callbacks,
        ),
        (
            "callbacks that never came",
            now.callbacks_lost - before.callbacks_lost,
        ),
        (
            "calls that ksecdd refused",
            now.calls_refused - before.calls_refused,
        ),
    ];
    for (what, count) in faults {
        ensure!(count == 0, "{what}: {count}");
    }
    let irql = now.highest_callback_irql;
    ensure!(irql <= HIGHEST_IRQL, "a callback came at IRQL {irql}");
    Ok(observed(&now))
}

/// What is known of ksecdd.sys since the driver was loaded.
fn observed(now: &StatisticsReply) -> String {
    let notify = now.optional_exports & u64::from(exports::REQUIRES_NOTIFY) != 0;
    format!(
        "of {} calls: {} inline, {} before the return, {} after; callbacks up to IRQL {}; \
         Reinit refused {}; SspiAsyncContextRequiresNotify {}",
        now.calls,
        now.completed_inline,
        now.completed_early,
        now.completed_late,
        now.highest_callback_irql,
        now.reinit_refused,
        if notify { "present" } else { "absent" }
    )
}
