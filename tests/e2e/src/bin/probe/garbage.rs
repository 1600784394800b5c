//! Codes that mean nothing, and random bytes: a status, never more.

use crate::{
    bench::{Bench, refused, within},
    raw::{self, Request},
    tls,
};
use anyhow::{Result, ensure};
use tlsgate::protocol::{self, Ioctl, NtStatus};

/// Random requests.
const ROUNDS: usize = 4000;

/// Codes, then bytes.
pub async fn all(bench: &Bench) -> Result<()> {
    let before = bench.quiet(0).await?;
    codes(bench).await?;
    ensure!(
        bench.statistics().await? == before,
        "an unknown code changed something"
    );
    let credential = bench.credential().await?;
    let (session, mut peer) = tls::establish(&bench.driver, credential).await?;
    let before = bench.quiet(0).await?;
    let good = [
        raw::query(Ioctl::QueryVersion),
        raw::query(Ioctl::QueryStatistics),
        raw::acquire(bench.thumbprint, "MY"),
        raw::release(credential),
        raw::accept_new(credential, &tls::hello()?),
        raw::accept_next(session, b"data"),
        raw::session(Ioctl::QuerySession, session),
        raw::session(Ioctl::Shutdown, session),
        raw::session(Ioctl::CloseSession, session),
        raw::record(Ioctl::Seal, session, b"data"),
        raw::record(Ioctl::Unseal, session, b"data"),
    ];
    bytes(bench, &good).await?;
    bench
        .settle("garbage left something", |now| *now == before)
        .await?;
    tls::talk(&bench.driver, session, &mut peer).await?;
    within(bench.driver.close(session)).await??;
    within(bench.driver.release(credential)).await??;
    bench.whole_handshake().await
}

/// Every code around the driver's own, with every access and every way to pass buffers.
async fn codes(bench: &Bench) -> Result<()> {
    let input = raw::query(Ioctl::QueryVersion).input;
    let ours = Ioctl::QueryVersion.code() & 0xFFFF_0000;
    let around = (0x7F0..0x820_u32).flat_map(|function| {
        (0..16).map(move |bits| ours | (bits >> 2) << 14 | function << 2 | bits & 3)
    });
    // Another device's type, and codes that a caller may think every device has.
    let foreign = [
        0,
        u32::MAX,
        0x0022_2000,
        Ioctl::QueryVersion.code() ^ 0x0001_0000,
    ];
    for code in around.chain(foreign) {
        if Ioctl::from_code(code).is_some() {
            continue;
        }
        let operation = bench.device.issue(code, input.clone(), 256);
        let status = NtStatus::STATUS_INVALID_DEVICE_REQUEST;
        refused(operation, status, format_args!("code {code:#010x}")).await?;
    }
    Ok(())
}

/// Good requests with some bytes changed, cut or added. Those that the contract still takes are not
/// sent: they may mean something.
async fn bytes(bench: &Bench, good: &[Request]) -> Result<()> {
    let mut random = Random(0x7153_6A7E);
    let mut sent = 0;
    while sent < ROUNDS {
        let request = &good[random.below(good.len())];
        let mut input = request.input.clone();
        for _ in 0..=random.below(4) {
            let place = random.below(input.len().min(64));
            input[place] = random.byte();
        }
        match random.below(4) {
            0 => input.truncate(random.below(input.len() + 1)),
            1 => input.extend((0..random.below(100)).map(|_| random.byte())),
            2 => input
                .iter_mut()
                .skip(8)
                .for_each(|byte| *byte = random.byte()),
            _ => {}
        }
        let code = request.ioctl.code();
        let room = random.below(request.room + 100);
        if let Err(error) = protocol::Request::decode(code, &input, room) {
            let what = format!("{:?} of {input:02X?}, room {room}", request.ioctl);
            refused(
                bench.device.issue(code, input, room),
                error.ntstatus(),
                what,
            )
            .await?;
            sent += 1;
        }
    }
    Ok(())
}

/// Numbers that are the same in every run (Marsaglia's xorshift).
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[1]
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap_or(0) % limit.max(1)
    }
}
