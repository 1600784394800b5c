//! Kill switches: what an administrator has switched off is refused, and nothing else.

use crate::{
    bench::{Bench, name, within},
    raw,
};
use anyhow::{Result, ensure};
use tlsgate::protocol::{
    CredentialId, Ioctl, NtStatus, SessionId,
    payload::{AcquireReply, VersionReply, functions},
};

/// An id that names nothing.
const NOTHING: u64 = 0x7777_0001;

/// Every IOCTL, with `off` (a mask of [`functions`]) switched off.
pub async fn all(bench: &mut Bench, off: u32) -> Result<()> {
    let version: VersionReply =
        raw::structure(&bench.reply(&raw::query(Ioctl::QueryVersion)).await?)?;
    ensure!(version.switched_off == off, "{version:?}");
    for &ioctl in Ioctl::ALL {
        let before = bench.statistics().await?.switched_off_refusals;
        let answer = within(bench.issue(&request(bench, ioctl))).await?;
        let is_off = off & function(ioctl) != 0;
        let due = match ioctl {
            _ if is_off => Err(NtStatus::STATUS_NOT_SUPPORTED),
            Ioctl::QueryVersion | Ioctl::QueryStatistics | Ioctl::AcquireCredential => Ok(()),
            _ => Err(NtStatus::STATUS_NOT_FOUND),
        };
        let status = answer.as_ref().err().copied();
        ensure!(
            status == due.err(),
            "{ioctl:?}: {}",
            status.map_or_else(|| "a reply".into(), name)
        );
        let refusals = bench.statistics().await?.switched_off_refusals - before;
        ensure!(
            refusals == u64::from(is_off),
            "{ioctl:?}: {refusals} refusals"
        );
        if ioctl == Ioctl::AcquireCredential
            && let Ok(reply) = answer
        {
            let reply: AcquireReply = raw::structure(&reply)?;
            if let Some(credential) = CredentialId::from_wire(reply.credential) {
                within(bench.driver.release(credential)).await??;
            }
        }
    }
    Ok(())
}

/// What would be refused for another reason, or succeed.
fn request(bench: &Bench, ioctl: Ioctl) -> raw::Request {
    let (session, credential) = nothing();
    match ioctl {
        Ioctl::QueryVersion | Ioctl::QueryStatistics => raw::query(ioctl),
        Ioctl::AcquireCredential => raw::acquire(bench.thumbprint, ""),
        Ioctl::ReleaseCredential => raw::release(credential),
        Ioctl::Accept => raw::accept_new(credential, &[22, 3, 1, 0, 1, 1]),
        Ioctl::Connect => raw::connect_new(credential),
        Ioctl::Seal | Ioctl::Unseal => raw::record(ioctl, session, b"data"),
        Ioctl::QuerySession | Ioctl::Shutdown | Ioctl::CloseSession => raw::session(ioctl, session),
    }
}

fn nothing() -> (SessionId, CredentialId) {
    let id = std::num::NonZeroU64::new(NOTHING).expect("not 0");
    (SessionId::new(id), CredentialId::new(id))
}

/// The switch of an IOCTL; 0 for those that have none: the way out, and what tells about the driver.
fn function(ioctl: Ioctl) -> u32 {
    match ioctl {
        Ioctl::AcquireCredential => functions::ACQUIRE,
        Ioctl::Accept => functions::ACCEPT,
        Ioctl::Connect => functions::CONNECT,
        Ioctl::Seal | Ioctl::Unseal => functions::RECORDS,
        Ioctl::Shutdown => functions::SHUTDOWN,
        Ioctl::QuerySession => functions::QUERY,
        Ioctl::QueryVersion
        | Ioctl::QueryStatistics
        | Ioctl::ReleaseCredential
        | Ioctl::CloseSession => 0,
    }
}
