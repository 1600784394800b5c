//! Every IOCTL with every kind of outcome, again and again, while the framework's stand-in looks at each
//! byte of the replies: none that nobody has written, and no address.

use crate::{
    bench::{Bench, answered, send},
    raw::{self, Request},
    tls,
};
use anyhow::{Context, Result, ensure};
use tlsgate::{
    Device, Thumbprint,
    protocol::{
        CredentialId, Ioctl, SessionId,
        payload::{
            AcquireReply, CloseReply, LegReply, RecordReply, ReleaseReply, SessionReply,
            StatisticsReply, VersionReply, state,
        },
    },
};

/// Rounds: more than the stand-in needs to see a single byte that is never written.
const ROUNDS: usize = 10;

/// Where the kernel's half of the address space starts.
const KERNEL_HALF: u64 = 0xFFFF_8000_0000_0000;

/// Lengths of data: a byte, within a record, a whole one, and of several records.
const LENGTHS: [usize; 4] = [1, 100, 16_384, 50_000];

/// All of it.
pub async fn all(bench: &Bench) -> Result<()> {
    for _ in 0..ROUNDS {
        let device = Device::open()?;
        about_the_driver(&device).await?;
        let credential = credentials(bench, &device).await?;
        let session = legs(&device, credential).await?;
        records(&device, session).await?;
        look(&device, &raw::session(Ioctl::CloseSession, session)).await?;
        look(&device, &raw::release(credential)).await?;
    }
    Ok(())
}

async fn about_the_driver(device: &Device) -> Result<()> {
    for ioctl in [Ioctl::QueryVersion, Ioctl::QueryStatistics] {
        look(device, &raw::query(ioctl)).await?;
        // More room than there is to tell.
        let mut request = raw::query(ioctl);
        request.room += 1_000;
        look(device, &request).await?;
    }
    Ok(())
}

async fn credentials(bench: &Bench, device: &Device) -> Result<CredentialId> {
    let absent = Thumbprint([0x77; 20]);
    look(device, &raw::acquire(absent, "")).await?;
    let unused = credential(&look(device, &raw::acquire(bench.thumbprint, "")).await?)?;
    look(device, &raw::release(unused)).await?;
    credential(&look(device, &raw::acquire(bench.thumbprint, "MY")).await?)
}

/// Whole ones, half ones, what is not TLS; those of a client. Gives an established session.
async fn legs(device: &Device, id: CredentialId) -> Result<SessionId> {
    let mut peer = tls::Peer::new()?;
    let hello = peer.take()?;
    look(device, &raw::accept_new(id, &hello[..3])).await?;
    look(device, &raw::accept_new(id, &[0x55; 64])).await?;
    let reply = look(device, &raw::accept_new(id, &hello)).await?;
    let session = tls::session(&reply)?;
    look(device, &raw::session(Ioctl::QuerySession, session)).await?;
    peer.give(raw::token(&reply))?;
    let flight = peer.take()?;
    look(device, &raw::accept_next(session, &flight[..3])).await?;
    let reply = look(device, &raw::accept_next(session, &flight)).await?;
    ensure!(
        raw::leg(&reply)?.state == state::ESTABLISHED,
        "no handshake"
    );
    look(device, &raw::session(Ioctl::QuerySession, session)).await?;

    let reply = look(device, &raw::accept_new(id, &hello)).await?;
    let failing = tls::session(&reply)?;
    look(device, &raw::accept_next(failing, &[22, 3, 3, 0, 2, 0, 0])).await?;
    look(device, &raw::session(Ioctl::QuerySession, failing)).await?;
    look(device, &raw::session(Ioctl::CloseSession, failing)).await?;

    let client = credential(&look(device, &raw::acquire_client()).await?)?;
    let reply = look(device, &raw::connect_new(client)).await?;
    let connecting = tls::session(&reply)?;
    look(
        device,
        &raw::connect_next(connecting, &[22, 3, 3, 0, 2, 0, 0]),
    )
    .await?;
    look(device, &raw::session(Ioctl::CloseSession, connecting)).await?;
    look(device, &raw::release(client)).await?;
    Ok(session)
}

/// What the peer makes of them is not looked at here: its side of the session is gone.
async fn records(device: &Device, session: SessionId) -> Result<()> {
    for length in LENGTHS {
        look(
            device,
            &raw::records(Ioctl::Seal, session, &vec![0x20; length]),
        )
        .await?;
    }
    // Half a record.
    look(device, &raw::record(Ioctl::Unseal, session, &[23, 3, 3, 0])).await?;
    look(device, &raw::session(Ioctl::Shutdown, session)).await?;
    // One that is not the session's: the session has failed.
    let mut forged = vec![23, 3, 3, 0, 64];
    forged.resize(69, 0);
    look(device, &raw::record(Ioctl::Unseal, session, &forged)).await?;
    Ok(())
}

/// A reply, in whose structure there is no number of the kernel's half of the address space. The stand-in
/// looks at all its bytes for what it knows the addresses of.
async fn look(device: &Device, request: &Request) -> Result<Vec<u8>> {
    let reply = answered(send(device, request), request.ioctl).await?;
    let front = reply.get(..front(request.ioctl)).unwrap_or(&reply);
    for window in front.windows(8) {
        let number = u64::from_le_bytes(window.try_into()?);
        // Statuses, which are negative, stand in front of small numbers.
        ensure!(
            number < KERNEL_HALF || number >= u64::MAX - u64::from(u32::MAX),
            "{:?}: {number:#x}",
            request.ioctl
        );
    }
    Ok(reply)
}

/// Bytes of a reply's structure.
const fn front(ioctl: Ioctl) -> usize {
    match ioctl {
        Ioctl::QueryVersion => size_of::<VersionReply>(),
        Ioctl::QueryStatistics => size_of::<StatisticsReply>(),
        Ioctl::AcquireCredential => size_of::<AcquireReply>(),
        Ioctl::ReleaseCredential => size_of::<ReleaseReply>(),
        Ioctl::Accept | Ioctl::Connect => size_of::<LegReply>(),
        Ioctl::Seal | Ioctl::Unseal | Ioctl::Shutdown => size_of::<RecordReply>(),
        Ioctl::QuerySession => size_of::<SessionReply>(),
        Ioctl::CloseSession => size_of::<CloseReply>(),
    }
}

fn credential(reply: &[u8]) -> Result<CredentialId> {
    let reply: AcquireReply = raw::structure(reply)?;
    CredentialId::from_wire(reply.credential).context("no credential")
}
