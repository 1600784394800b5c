//! Two programs beside each other. One works, and says so each time it is asked; the other tries the
//! first one's ids, and takes everything that one handle can have.

use crate::{
    bench::{Bench, refused, within},
    ids, tls,
};
use anyhow::{Context, Result, ensure};
use std::io::{self, BufRead};
use tlsgate::protocol::{CredentialId, NtStatus, SessionId};

/// Says its ids: a credential, an established session, and one half-way. Then, for each line that it is
/// told, does everything that a program does and says `fine`, until its input ends.
pub async fn work(bench: &mut Bench) -> Result<()> {
    let credential = bench.credential().await?;
    let (session, mut peer) = tls::establish(&bench.driver, credential).await?;
    let (mut half, mut half_peer) = tls::begin(&bench.driver, credential).await?;
    let ids = [credential.get(), session.get(), half.get()];
    println!("ids {} {} {}", ids[0], ids[1], ids[2]);
    for line in io::stdin().lock().lines() {
        let _whatever = line?;
        tls::talk(&bench.driver, session, &mut peer).await?;
        // The one that was half-way is brought to its end, and closed; another takes its place.
        tls::finish(&bench.driver, half, &mut half_peer).await?;
        tls::talk(&bench.driver, half, &mut half_peer).await?;
        within(bench.driver.close(half)).await??;
        (half, half_peer) = tls::begin(&bench.driver, credential).await?;
        bench.whole_handshake().await?;
        println!("fine");
    }
    *bench = Bench::open(bench.thumbprint)?;
    Ok(())
}

/// Tries another program's ids on a handle of its own: before it has anything, and when it has ids
/// of its own that are the same numbers.
pub async fn stranger(bench: &Bench, credential: u64, sessions: &[u64]) -> Result<()> {
    let credential = CredentialId::from_wire(credential).context("no credential's id")?;
    let sessions: Vec<SessionId> = sessions
        .iter()
        .filter_map(|&session| SessionId::from_wire(session))
        .collect();
    let hello = tls::hello()?;
    let before = bench.quiet(0).await?;
    for request in sessions
        .iter()
        .flat_map(|&session| ids::of_session(session, &hello))
        .chain(ids::of_credential(credential, &hello))
    {
        let what = ("another program's", request.ioctl);
        refused(bench.issue(&request), NtStatus::STATUS_NOT_FOUND, what).await?;
    }
    ensure!(
        bench.statistics().await? == before,
        "a refusal changed something"
    );
    // Each handle counts for itself: what is made in the same order has the same ids.
    let own = bench.credential().await?;
    let (established, _) = tls::establish(&bench.driver, own).await?;
    let (half, _) = tls::begin(&bench.driver, own).await?;
    ensure!(
        own == credential && [established, half] == sessions[..],
        "other ids than the other program's: {own:?}, {established:?}, {half:?}"
    );
    for session in [established, half] {
        within(bench.driver.close(session)).await??;
    }
    within(bench.driver.release(own)).await??;
    Ok(())
}
