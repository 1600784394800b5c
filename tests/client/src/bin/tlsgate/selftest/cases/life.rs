//! What is given up: cancelled legs, closed handles, handshakes whose time has run out.

use crate::selftest::{
    memory,
    pki::reference,
    site::{Site, is_refused, sockets},
};
use anyhow::{Result, ensure};
use std::time::Duration;
use tlsgate::{
    CredentialOptions, NewSession, Start,
    protocol::{NtStatus, payload::StatisticsReply},
};
use tokio::io::AsyncWriteExt;

/// How many are given up at a time.
const LEGS: u64 = 32;

/// How long a handshake may take, where that is what is looked at.
const TIME: Duration = Duration::from_secs(1);

/// Requests are cancelled when their future is dropped; what is inside ksecdd then comes back later.
pub async fn cancelled(site: &Site) -> Result<String> {
    let watcher = site.handle()?;
    let before = watcher.statistics().await?;
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let credential = handle.driver.acquire(&options).await?;
    let hello = memory::hello(&site.pki)?;
    for _ in 0..LEGS {
        let start = Start::New(NewSession::of(credential));
        drop(handle.driver.accept(start, &hello));
    }
    // What was done before it could be cancelled, the library undoes.
    handle
        .settle("cancelled legs", |now| {
            now.sessions_live <= before.sessions_live
                && now.in_flight_live == 0
                && now.waiting_live == 0
                && now.orphans_live == 0
        })
        .await?;
    let cancelled = handle.statistics().await?.cancelled - before.cancelled;
    let (session, mut peer) = memory::establish(&handle.driver, credential, &site.pki).await?;
    memory::talk(&handle.driver, session, &mut peer).await?;
    handle.driver.close(session).await?;

    // The library's: the peer stops after its first message.
    let server = handle.server(&options).await?;
    let (near, mut far) = sockets().await?;
    far.write_all(&hello).await?;
    let given_up = tokio::time::timeout(TIME, server.accept(near)).await;
    ensure!(given_up.is_err(), "a handshake ended without its peer");
    drop((server, handle));
    watcher
        .settle("what was given up", |now| is_back(now, &before))
        .await?;
    Ok(format!(
        "{cancelled} of {LEGS} legs were cancelled before they were done"
    ))
}

/// A handle is closed with sessions in every state on it, and legs on their way.
pub async fn closed_handle(site: &Site) -> Result<String> {
    let watcher = site.handle()?;
    let before = watcher.statistics().await?;
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let credential = handle.driver.acquire(&options).await?;
    let new = NewSession::of(credential);
    let mut peers = Vec::new();
    for _ in 0..LEGS / 4 {
        peers.push(memory::establish(&handle.driver, credential, &site.pki).await?);
        peers.push(memory::begin(&handle.driver, new, &site.pki).await?);
    }
    let hello = memory::hello(&site.pki)?;
    let legs: Vec<_> = (0..LEGS)
        .map(|_| handle.driver.accept(Start::New(new), &hello))
        .collect();
    let live = watcher.statistics().await?.sessions_live - before.sessions_live;
    ensure!(live >= LEGS / 2, "{live} sessions are open");
    drop((legs, handle, peers));
    watcher
        .settle("the closed handle's", |now| is_back(now, &before))
        .await?;
    Ok(format!("{live} sessions went with it"))
}

/// As much is alive as before, or less.
pub fn is_back(now: &StatisticsReply, before: &StatisticsReply) -> bool {
    now.sessions_live <= before.sessions_live
        && now.credentials_live <= before.credentials_live
        && now.in_flight_live <= before.in_flight_live
        && now.orphans_live <= before.orphans_live
}

/// The handshake's time is one for all its legs, and time passes between them as well.
pub async fn timed_out(site: &Site) -> Result<String> {
    let handle = site.handle()?;
    let options = CredentialOptions::server(reference(&site.pki.server));
    let credential = handle.driver.acquire(&options).await?;
    let new = NewSession {
        timeout: Some(TIME),
        ..NewSession::of(credential)
    };
    let (session, mut peer) = memory::begin(&handle.driver, new, &site.pki).await?;
    let (established, mut other) = memory::establish(&handle.driver, credential, &site.pki).await?;
    let before = handle.statistics().await?;
    tokio::time::sleep(TIME + TIME / 4).await;
    let bytes = peer.take()?;
    let leg = handle.driver.accept(Start::Continue(session), &bytes);
    is_refused(
        leg.await,
        NtStatus::STATUS_IO_TIMEOUT,
        "a leg that is too late",
    )?;
    let counted = handle.statistics().await?.timed_out - before.timed_out;
    ensure!(counted == 1, "{counted} requests were counted as timed out");
    let leg = handle.driver.accept(Start::Continue(session), &bytes);
    is_refused(
        leg.await,
        NtStatus::STATUS_INVALID_DEVICE_STATE,
        "a leg of a session that has failed",
    )?;
    // What is established has time.
    memory::talk(&handle.driver, established, &mut other).await?;
    handle.driver.close(session).await?;
    handle.driver.close(established).await?;
    handle.release(credential).await?;
    Ok(String::new())
}
