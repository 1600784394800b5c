//! Bytes a second over established connections, one way at a time.

use super::{
    Bench,
    load::Share,
    side::{Clients, Server, Stream, connect},
};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split},
    task::JoinSet,
};

/// Bytes that are written at once: as many as the library seals in one IOCTL.
const CHUNK: usize = 64 * 1024;

/// What came of bytes, each way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bytes {
    /// The server writes: SEAL.
    pub sealed: Rate,
    /// The server reads: UNSEAL.
    pub unsealed: Rate,
}

/// So many in so long.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    pub count: u64,
    pub time: Duration,
}

impl Rate {
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.time += other.time;
    }

    /// How many a second.
    #[expect(clippy::cast_precision_loss, reason = "a rate has no more digits")]
    pub fn per_second(self) -> f64 {
        self.count as f64 / self.time.as_secs_f64()
    }
}

impl Bytes {
    pub fn add(&mut self, other: Self) {
        self.sealed.add(other.sealed);
        self.unsealed.add(other.unsealed);
    }
}

/// Each way for the share's time.
pub async fn run(
    options: &Bench,
    share: Share,
    server: &Server,
    clients: &Clients,
) -> Result<Bytes> {
    Ok(Bytes {
        sealed: one_way(options, share, server, clients, Way::Down).await?,
        unsealed: one_way(options, share, server, clients, Way::Up).await?,
    })
}

#[derive(Clone, Copy)]
enum Way {
    /// From the server.
    Down,
    /// To the server.
    Up,
}

async fn one_way(
    options: &Bench,
    share: Share,
    server: &Server,
    clients: &Clients,
    way: Way,
) -> Result<Rate> {
    let mut pairs = Vec::new();
    for _ in 0..options.connections {
        let mut connected = connect(server, clients).await?;
        connected.first_byte().await?;
        let ((server_read, server_write), (client_read, client_write)) =
            (split(connected.server), split(connected.client));
        // The other halves keep the connection whole.
        pairs.push(match way {
            Way::Down => ((server_write, client_read), (client_write, server_read)),
            Way::Up => ((client_write, server_read), (server_write, client_read)),
        });
    }
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for ((to, from), others) in pairs {
        tasks.spawn(async move {
            let carried = carry(to, from, started + share.time).await;
            drop(others);
            carried
        });
    }
    let mut bytes = 0;
    while let Some(carried) = tasks.join_next().await {
        bytes += carried.context("a task failed")??;
    }
    Ok(Rate {
        count: bytes,
        time: started.elapsed(),
    })
}

/// Writes until the time has come, and reads everything; gives how many bytes.
async fn carry(
    mut to: WriteHalf<Box<dyn Stream>>,
    mut from: ReadHalf<Box<dyn Stream>>,
    until: Instant,
) -> Result<u64> {
    let write = async {
        let chunk = vec![0x5A; CHUNK];
        let mut written = 0;
        // Once at least, so that there is something to divide.
        loop {
            to.write_all(&chunk).await?;
            written += u64::try_from(CHUNK)?;
            if Instant::now() >= until {
                to.shutdown().await?;
                return anyhow::Ok(written);
            }
        }
    };
    let read = async {
        let (mut chunk, mut count) = (vec![0; CHUNK], 0);
        loop {
            match from.read(&mut chunk).await? {
                0 => return anyhow::Ok(count),
                length => count += u64::try_from(length)?,
            }
        }
    };
    let (written, heard) = tokio::try_join!(write, read)?;
    ensure!(
        written == heard,
        "{written} bytes were written, and {heard} read"
    );
    Ok(heard)
}
