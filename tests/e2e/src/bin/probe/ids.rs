//! Ids that name nothing: refused, and nothing changes.

use crate::{
    bench::{Bench, refused, send, within},
    raw::{self, Request},
    tls,
};
use anyhow::{Context, Result, ensure};
use tlsgate::{
    Device,
    protocol::{CredentialId, Ioctl, NtStatus, SessionId},
};

/// Other handles' ids, stale ones, ids of the other kind, and random ones.
pub async fn all(bench: &Bench) -> Result<()> {
    let hello = tls::hello()?;
    // Ids count up on each handle. With more credentials than sessions, the last credential's id
    // names no session; stale ones follow from giving back.
    let credential = bench.credential().await?;
    let second = bench.credential().await?;
    let stale_credential = bench.credential().await?;
    let (session, mut peer) = tls::begin(&bench.driver, credential).await?;
    let (stale_session, _) = tls::begin(&bench.driver, credential).await?;
    within(bench.driver.close(stale_session)).await??;
    within(bench.driver.release(stale_credential)).await??;

    let session_ids = [
        ("stale", stale_session.get()),
        ("a credential's", second.get()),
        ("the next generation", session.get() + (1 << 32)),
        ("large", u64::MAX),
    ];
    let before = bench.quiet(0).await?;
    for (what, id) in session_ids {
        let id = SessionId::from_wire(id).context("an id of 0")?;
        for request in of_session(id, &hello) {
            refused(
                bench.issue(&request),
                NtStatus::STATUS_NOT_FOUND,
                (what, request.ioctl),
            )
            .await?;
        }
    }
    for (what, id) in [
        ("stale", stale_credential.get()),
        ("large", u64::MAX),
        ("the next generation", credential.get() + (1 << 32)),
    ] {
        let id = CredentialId::from_wire(id).context("an id of 0")?;
        for request in of_credential(id, &hello) {
            refused(
                bench.issue(&request),
                NtStatus::STATUS_NOT_FOUND,
                (what, request.ioctl),
            )
            .await?;
        }
    }
    // The right ids, on a handle that they do not belong to.
    let other = Device::open()?;
    let requests = of_session(session, &hello)
        .into_iter()
        .chain(of_credential(credential, &hello));
    for request in requests {
        let what = ("another handle's", request.ioctl);
        refused(send(&other, &request), NtStatus::STATUS_NOT_FOUND, what).await?;
    }
    drop(other);
    ensure!(
        bench.statistics().await? == before,
        "a refusal changed something"
    );

    // A slot that is used again has another id.
    let (again, _) = tls::begin(&bench.driver, credential).await?;
    ensure!(again != stale_session, "an id came again");
    for request in of_session(stale_session, &hello) {
        let what = ("stale and its slot in use", request.ioctl);
        refused(bench.issue(&request), NtStatus::STATUS_NOT_FOUND, what).await?;
    }
    // What was there all along is as it was.
    tls::finish(&bench.driver, session, &mut peer).await?;
    tls::talk(&bench.driver, session, &mut peer).await?;
    for session in [session, again] {
        within(bench.driver.close(session)).await??;
    }
    for credential in [credential, second] {
        within(bench.driver.release(credential)).await??;
    }
    Ok(())
}

pub fn of_session(id: SessionId, hello: &[u8]) -> Vec<Request> {
    vec![
        raw::accept_next(id, hello),
        raw::connect_next(id, hello),
        raw::session(Ioctl::QuerySession, id),
        raw::record(Ioctl::Seal, id, b"data"),
        raw::record(Ioctl::Unseal, id, b"data"),
        raw::session(Ioctl::Shutdown, id),
        raw::session(Ioctl::CloseSession, id),
    ]
}

pub fn of_credential(id: CredentialId, hello: &[u8]) -> Vec<Request> {
    vec![
        raw::accept_new(id, hello),
        raw::connect_to(id, "localhost"),
        raw::release(id),
    ]
}
