//! After each fault: nothing is left, in the driver, in ksecdd or in the framework, and the next handshake works.

use crate::bench::{Bench, INTERVAL};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use tlsgate_lab_control::kmdf::Report;

/// How long what must go may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than anything is kept in quarantine (`QuarantineMs`), in milliseconds.
const QUARANTINE: u64 = 60_001;

/// Bytes by which a driver's tables may have grown since they were first looked at: they never shrink.
const GROWTH: usize = 64 * 1024;

/// What there is when nothing goes on.
pub struct Baseline(Report);

impl Baseline {
    /// Looks, once tables and threads are there.
    pub async fn take(bench: &mut Bench) -> Result<Self> {
        for _ in 0..3 {
            bench.whole_handshake().await?;
            bench.empty().await?;
        }
        drain(bench).await?;
        bench.quiet(0).await?;
        Ok(Self(bench.lab.report()?))
    }

    /// Waits until all is as it was, and makes a handshake.
    pub async fn again(&self, bench: &mut Bench) -> Result<()> {
        let_go(bench).await?;
        bench.empty().await?;
        drain(bench).await?;
        self.settle(bench).await?;
        bench
            .whole_handshake()
            .await
            .context("the next handshake")?;
        bench.empty().await
    }

    /// Waits until the scenario's handle has been cleaned up and closed.
    pub async fn handle_gone(&self, bench: &mut Bench) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while bench.lab.report()?.files > self.0.files {
            ensure!(Instant::now() < deadline, "the handle does not go");
            tokio::time::sleep(INTERVAL).await;
        }
        Ok(())
    }

    async fn settle(&self, bench: &mut Bench) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = bench.lab.report()?;
            let left = self.left(&now);
            if left.is_empty() {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "left in the framework (what, now, before): {left:?}"
            );
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// What is more, or less, than before.
    fn left(&self, now: &Report) -> Vec<(&'static str, usize, usize)> {
        let before = &self.0;
        let grown = now.pool_bytes.saturating_sub(before.pool_bytes);
        [
            ("pool blocks", now.pool_blocks, before.pool_blocks),
            ("pool bytes", if grown > GROWTH { grown } else { 0 }, 0),
            ("objects", now.objects, before.objects),
            ("files", now.files, before.files),
            ("requests", now.requests, before.requests),
            ("memory objects", now.memory, before.memory),
            ("spin locks", now.spin_locks, before.spin_locks),
            ("threads", now.threads, before.threads),
            ("tokens", now.tokens, before.tokens),
            ("handles", now.handles, before.handles),
            ("references", now.references, before.references),
        ]
        .into_iter()
        .filter(|(_, now, before)| now != before)
        .collect()
    }
}

/// Lets all go that ksecdd still holds, lost callbacks included.
async fn let_go(bench: &mut Bench) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        bench.lab.release()?;
        let now = bench.statistics().await?;
        if now.in_flight_live == 0 && now.waiting_live == 0 && now.orphans_live == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "operations do not end: {now:#?}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Lets the quarantine's time pass: each of its two generations goes when a credential is acquired.
async fn drain(bench: &mut Bench) -> Result<()> {
    for _ in 0..3 {
        if bench.statistics().await?.quarantined_live == 0 {
            return Ok(());
        }
        bench.lab.advance(QUARANTINE)?;
        bench.whole_handshake().await.context("in quarantine")?;
        bench.empty().await?;
    }
    let left = bench.statistics().await?.quarantined_live;
    ensure!(left == 0, "{left} async contexts stay in quarantine");
    Ok(())
}
