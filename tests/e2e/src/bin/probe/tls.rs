//! A TLS client in memory: rustls, which does not care where its bytes come from.

use crate::{bench::within, raw};
use anyhow::{Context, Result, ensure};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    io::{Read, Write},
    sync::{Arc, LazyLock},
};
use tlsgate::{
    Driver, NewSession, RecordOutcome, Start,
    protocol::{CredentialId, SessionId, payload::state},
};

/// The other side of a session.
pub struct Peer(ClientConnection);

impl Peer {
    /// A client that has not said anything.
    pub fn new() -> Result<Self> {
        let name = ServerName::try_from("localhost")?;
        let mut connection = ClientConnection::new(Arc::clone(&CONFIG), name)?;
        connection.set_buffer_limit(None);
        Ok(Self(connection))
    }

    /// What it says.
    pub fn take(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes)?;
        }
        Ok(bytes)
    }

    /// What is said to it.
    pub fn give(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes)?;
            self.0.process_new_packets()?;
        }
        Ok(())
    }
}

impl Peer {
    /// The records of so much data.
    pub fn say(&mut self, data: &[u8]) -> Result<Vec<u8>> {
        self.0.writer().write_all(data)?;
        self.take()
    }

    /// The data of so many records.
    pub fn hear(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes)?;
            let state = self.0.process_new_packets()?;
            let had = data.len();
            data.resize(had + state.plaintext_bytes_to_read(), 0);
            self.0.reader().read_exact(&mut data[had..])?;
        }
        Ok(data)
    }

    /// The record of a `KeyUpdate`; what is said later has new keys.
    pub fn update_keys(&mut self) -> Result<Vec<u8>> {
        self.0.refresh_traffic_keys()?;
        self.take()
    }

    /// `close_notify`.
    pub fn say_goodbye(&mut self) -> Result<Vec<u8>> {
        self.0.send_close_notify();
        self.take()
    }
}

/// A `ClientHello`.
pub fn hello() -> Result<Vec<u8>> {
    Peer::new()?.take()
}

/// A new session after its first leg.
pub async fn begin(driver: &Driver, credential: CredentialId) -> Result<(SessionId, Peer)> {
    let mut peer = Peer::new()?;
    let start = Start::New(NewSession {
        alpn: &[b"h2"],
        ..NewSession::of(credential)
    });
    let hello = peer.take()?;
    let leg = within(driver.accept(start, &hello)).await??;
    ensure!(leg.state == state::HANDSHAKING, "the first leg: {leg:?}");
    peer.give(&leg.token)?;
    Ok((leg.session.context("no session")?, peer))
}

/// The legs that are left.
pub async fn finish(driver: &Driver, session: SessionId, peer: &mut Peer) -> Result<()> {
    let mut bytes = peer.take()?;
    loop {
        let leg = within(driver.accept(Start::Continue(session), &bytes)).await??;
        bytes.drain(..leg.consumed);
        peer.give(&leg.token)?;
        bytes.extend(peer.take()?);
        if leg.state == state::ESTABLISHED {
            return Ok(());
        }
        ensure!(
            leg.state == state::HANDSHAKING && !bytes.is_empty(),
            "the handshake does not go on: {leg:?}"
        );
    }
}

/// The session of a leg's reply.
pub fn session(reply: &[u8]) -> Result<SessionId> {
    let leg = raw::leg(reply)?;
    SessionId::from_wire(leg.session).with_context(|| format!("no session: {leg:?}"))
}

/// A new session after its handshake.
pub async fn establish(driver: &Driver, credential: CredentialId) -> Result<(SessionId, Peer)> {
    let (session, mut peer) = begin(driver, credential).await?;
    finish(driver, session, &mut peer).await?;
    Ok((session, peer))
}

/// A record each way.
pub async fn talk(driver: &Driver, session: SessionId, peer: &mut Peer) -> Result<()> {
    let sealed = within(driver.seal(session, b"ping")).await??;
    ensure!(
        sealed.outcome == RecordOutcome::Data,
        "not sealed: {sealed:?}"
    );
    peer.give(&sealed.bytes)?;
    let mut heard = [0; 4];
    peer.0.reader().read_exact(&mut heard)?;
    ensure!(heard == *b"ping", "the peer heard {heard:?}");
    peer.0.writer().write_all(b"pong")?;
    let record = peer.take()?;
    let opened = within(driver.unseal(session, &record)).await??;
    ensure!(
        opened.outcome == RecordOutcome::Data && opened.bytes == b"pong",
        "not unsealed: {opened:?}"
    );
    Ok(())
}

static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for every version")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    // Every handshake is to be a whole one.
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
});

/// Takes any certificate: who the server is, is not the question here. Its signatures are checked.
#[derive(Debug)]
pub struct AnyCertificate(pub Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
