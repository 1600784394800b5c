//! A program that offers a steady load, and one that floods: what the flood costs the other.

use crate::{
    bench::{Bench, name, send},
    raw::{self, Request},
    tls,
};
use anyhow::{Result, anyhow};
use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, BufRead},
    process,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tlsgate::{
    Device, Driver,
    protocol::{CredentialId, SessionId},
};
use tokio::task::LocalSet;

/// Half-open sessions that the flood leaves.
const HALF_OPEN: usize = 2_000;

/// Says how many calls of ksecdd a handshake takes. Then, for each line `EVERY WARM SECONDS` on its input: begins a
/// handshake every so many microseconds for that long, whatever becomes of those before, and says of the time after
/// the warm-up how many were offered and completed, and how long they took at the median and at the 99th
/// percentile, in microseconds.
pub async fn load(bench: &mut Bench) -> Result<()> {
    let credential = bench.credential().await?;
    let before = bench.quiet(0).await?.calls;
    let (session, _peer) = tls::establish(&bench.driver, credential).await?;
    bench.driver.close(session).await?;
    println!("ready {}", bench.quiet(0).await?.calls - before);
    for line in io::stdin().lock().lines() {
        let line = line?;
        let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [every, warm, seconds] = numbers
            .try_into()
            .map_err(|_| anyhow!("EVERY WARM SECONDS: {line}"))?;
        let every = Duration::from_micros(every);
        let [warm, seconds] = [warm, seconds].map(Duration::from_secs);
        let measured = LocalSet::new()
            .run_until(measure(&bench.driver, credential, every, warm, seconds))
            .await?;
        println!("measured {measured}");
    }
    *bench = Bench::open(bench.thumbprint)?;
    Ok(())
}

async fn measure(
    driver: &Driver,
    credential: CredentialId,
    every: Duration,
    warm: Duration,
    window: Duration,
) -> Result<String> {
    let start = Instant::now();
    let mut offered = 0_u64;
    let mut tasks = Vec::new();
    let mut due = start;
    while due < start + warm + window {
        tokio::time::sleep_until(due.into()).await;
        if due >= start + warm {
            offered += 1;
        }
        let driver = driver.clone();
        tasks.push(tokio::task::spawn_local(async move {
            let begun = Instant::now();
            let (session, _peer) = tls::establish(&driver, credential).await?;
            let ended = Instant::now();
            driver.close(session).await?;
            anyhow::Ok((ended, ended - begun))
        }));
        due += every;
    }
    let mut took = Vec::new();
    for task in tasks {
        let (ended, time) = task.await??;
        if (start + warm..start + warm + window).contains(&ended) {
            took.push(time);
        }
    }
    took.sort_unstable();
    let at = |share: usize| {
        let time = took.get((took.len() * share / 100).min(took.len().saturating_sub(1)));
        time.map_or(0, Duration::as_micros)
    };
    Ok(format!("{offered} {} {} {}", took.len(), at(50), at(99)))
}

/// What the ways of a flood share.
struct Flood {
    device: Device,
    driver: Driver,
    leg: Request,
    half_open: RefCell<VecDeque<SessionId>>,
    ended: Arc<AtomicBool>,
}

/// Begins handshakes and does not go on with them, so many at a time, as fast as they are answered. Keeps
/// some thousand half-open, and closes the oldest. When its input ends it says how many legs were
/// answered in how many milliseconds, and goes as it is.
pub async fn flood(bench: &Bench, at_once: usize) -> Result<()> {
    let credential = bench.credential().await?;
    let flood = Rc::new(Flood {
        device: bench.device.clone(),
        driver: bench.driver.clone(),
        leg: raw::accept_new(credential, &tls::hello()?),
        half_open: RefCell::default(),
        ended: Arc::default(),
    });
    let ended = Arc::clone(&flood.ended);
    thread::spawn(move || {
        // An input that breaks off has ended, too.
        let _whatever = io::stdin().read_line(&mut String::new());
        ended.store(true, Ordering::Relaxed);
    });
    let start = Instant::now();
    let flooding = async {
        let ways: Vec<_> = (0..at_once)
            .map(|_| tokio::task::spawn_local(Rc::clone(&flood).one_after_the_other()))
            .collect();
        println!("flooding");
        let mut legs = 0;
        for way in ways {
            legs += way.await??;
        }
        anyhow::Ok(legs)
    };
    let legs = LocalSet::new().run_until(flooding).await?;
    println!("flooded {legs} {}", start.elapsed().as_millis());
    process::exit(0)
}

impl Flood {
    async fn one_after_the_other(self: Rc<Self>) -> Result<u64> {
        let mut answered = 0;
        while !self.ended.load(Ordering::Relaxed) {
            let reply = send(&self.device, &self.leg).await;
            let reply = reply.map_err(|status| anyhow!(name(status)))?;
            answered += 1;
            let session = tls::session(&reply)?;
            if let Some(oldest) = self.keep(session) {
                self.driver.close(oldest).await?;
            }
        }
        Ok(answered)
    }

    /// Gives the oldest, if there are too many now.
    fn keep(&self, session: SessionId) -> Option<SessionId> {
        let mut half_open = self.half_open.borrow_mut();
        half_open.push_back(session);
        if half_open.len() > HALF_OPEN {
            half_open.pop_front()
        } else {
            None
        }
    }
}
