//! Handshakes leg by leg: the driver's functions on one side, rustls in memory on the other. For the
//! cases that stop in the middle.

use super::{
    peer::{self, Version},
    pki::{NAME, Pki},
};
use anyhow::{Context, Result, ensure};
use rustls::{ClientConnection, pki_types::ServerName};
use std::{
    io::{Read, Write},
    sync::Arc,
};
use tlsgate::{
    Driver, NewSession, RecordOutcome, Start,
    protocol::{CredentialId, SessionId, payload::state},
};

/// A client in memory.
pub struct Peer(ClientConnection);

impl Peer {
    /// One that has not said anything.
    pub fn new(pki: &Pki) -> Result<Self> {
        let config = Arc::new(peer::client(pki, Version::Tls13)?);
        let name = ServerName::try_from(NAME)?;
        Ok(Self(ClientConnection::new(config, name)?))
    }

    /// What it says.
    pub fn take(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes)?;
        }
        Ok(bytes)
    }

    fn give(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes)?;
            self.0.process_new_packets()?;
        }
        Ok(())
    }
}

/// A `ClientHello`.
pub fn hello(pki: &Pki) -> Result<Vec<u8>> {
    Peer::new(pki)?.take()
}

/// A session after its first leg.
pub async fn begin(driver: &Driver, new: NewSession<'_>, pki: &Pki) -> Result<(SessionId, Peer)> {
    let mut peer = Peer::new(pki)?;
    let hello = peer.take()?;
    let leg = driver.accept(Start::New(new), &hello).await?;
    ensure!(leg.state == state::HANDSHAKING, "the first leg: {leg:?}");
    peer.give(&leg.token)?;
    Ok((leg.session.context("no session")?, peer))
}

/// A session after its handshake.
pub async fn establish(
    driver: &Driver,
    credential: CredentialId,
    pki: &Pki,
) -> Result<(SessionId, Peer)> {
    let (session, mut peer) = begin(driver, NewSession::of(credential), pki).await?;
    let mut bytes = peer.take()?;
    loop {
        let leg = driver.accept(Start::Continue(session), &bytes).await?;
        bytes.drain(..leg.consumed);
        peer.give(&leg.token)?;
        bytes.extend(peer.take()?);
        if leg.state == state::ESTABLISHED {
            return Ok((session, peer));
        }
        ensure!(
            leg.state == state::HANDSHAKING && !bytes.is_empty(),
            "the handshake does not go on: {leg:?}"
        );
    }
}

/// A record each way.
pub async fn talk(driver: &Driver, session: SessionId, peer: &mut Peer) -> Result<()> {
    let sealed = driver.seal(session, b"ping").await?;
    ensure!(sealed.outcome == RecordOutcome::Data, "SEAL: {sealed:?}");
    peer.give(&sealed.bytes)?;
    let mut heard = [0; 4];
    peer.0.reader().read_exact(&mut heard)?;
    ensure!(heard == *b"ping", "the peer heard {heard:?}");
    peer.0.writer().write_all(b"pong")?;
    let opened = driver.unseal(session, &peer.take()?).await?;
    ensure!(
        opened.outcome == RecordOutcome::Data && opened.bytes == b"pong",
        "UNSEAL: {opened:?}"
    );
    Ok(())
}
