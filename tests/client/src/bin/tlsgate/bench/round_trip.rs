//! What an IOCTL costs that does nothing, and how many a handshake has.

use super::records::Rate;
use anyhow::{Context, Result};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tlsgate::{Driver, Reply, Transport, Unclaimed};
use tokio::task::JoinSet;

/// A transport that counts what goes over it.
pub struct Counted<T> {
    transport: T,
    count: Arc<AtomicU64>,
}

impl<T> Counted<T> {
    pub const fn new(transport: T, count: Arc<AtomicU64>) -> Self {
        Self { transport, count }
    }
}

impl<T: Transport> Transport for Counted<T> {
    fn ioctl(
        &self,
        code: u32,
        input: Vec<u8>,
        output_length: usize,
        unclaimed: Option<Unclaimed>,
    ) -> Reply {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.transport.ioctl(code, input, output_length, unclaimed)
    }

    fn post(&self, code: u32, input: Vec<u8>, output_length: usize) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.transport.post(code, input, output_length);
    }
}

/// QUERY_VERSION, so many at a time, for so long. Gives how many came back.
pub async fn run(driver: &Driver, at_a_time: u16, time: Duration) -> Result<Rate> {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..at_a_time {
        let driver = driver.clone();
        tasks.spawn(async move {
            let mut done = 0;
            // Once at least, so that there is something to divide by.
            loop {
                driver.version().await?;
                done += 1;
                if started.elapsed() >= time {
                    return anyhow::Ok(done);
                }
            }
        });
    }
    let mut count = 0;
    while let Some(done) = tasks.join_next().await {
        count += done.context("a task failed")??;
    }
    Ok(Rate {
        count,
        time: started.elapsed(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlsgate::protocol::{
        Ioctl, SecurityStatus,
        payload::{ReplyHead, VersionReply},
    };
    use zerocopy::{FromZeros, IntoBytes};

    struct Answering;

    impl Transport for Answering {
        fn ioctl(&self, code: u32, _: Vec<u8>, _: usize, _: Option<Unclaimed>) -> Reply {
            assert_eq!(code, Ioctl::QueryVersion.code());
            let mut reply = VersionReply::new_zeroed();
            reply.head = ReplyHead::new(SecurityStatus::SEC_E_OK);
            let reply = reply.as_bytes().to_vec();
            Box::pin(async {
                tokio::task::yield_now().await;
                Ok(reply)
            })
        }

        fn post(&self, _: u32, _: Vec<u8>, _: usize) {}
    }

    #[tokio::test]
    async fn every_round_trip_is_counted() {
        let count = Arc::new(AtomicU64::new(0));
        let driver = Driver::new(Counted::new(Answering, Arc::clone(&count)));
        let rate = run(&driver, 3, Duration::from_millis(5)).await.unwrap();
        assert!(rate.count >= 3 && rate.time >= Duration::from_millis(5));
        assert_eq!(rate.count, count.load(Ordering::Relaxed));
    }
}
