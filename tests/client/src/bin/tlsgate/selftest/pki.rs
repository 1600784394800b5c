//! The certificates of a run: an authority made for it alone, and what it issues.

use crate::certificate::make::{Made, pack, rsa_key, rsa_signer};
use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rsa::RsaPrivateKey;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};
use tlsgate::Certificate;

/// The common name of everything here begins so, and of nothing else: what a run that was killed has
/// left in the machine's stores is found by it.
pub const PREFIX: &str = "TlsGate selftest ";

/// The names of the servers.
pub const NAME: &str = "one.selftest.tlsgate.test";
pub const OTHER_NAME: &str = "two.selftest.tlsgate.test";

/// Days that all is good for.
const DAYS: i64 = 2;

/// All certificates of a run.
pub struct Pki {
    /// What issued the others; the machine is to trust it.
    pub root: CertificateDer<'static>,
    /// For the machine's store, with keys that the driver uses: two servers' and a client's.
    pub server: Made,
    pub other_server: Made,
    pub client: Made,
    /// For the peer in this process: two servers' and a client's.
    pub peer: Identity,
    pub other_peer: Identity,
    pub peer_client: Identity,
    /// Of those in the machine's store.
    key: RsaPrivateKey,
    /// The peer's too, issued by an authority that nobody trusts.
    pub stranger: Identity,
    pub strange_client: Identity,
}

/// A certificate with its key, for rustls.
pub struct Identity {
    pub certificate: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
}

/// One that issues certificates. Its key never leaves the process.
struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    /// Makes them all.
    pub fn new() -> Result<Self> {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let authority = Authority::new("authority")?;
        let strange = Authority::new("stranger")?;
        // RSA, because every key provider of Windows takes it; one key, because making one takes a
        // second and each certificate gets a container of its own for it.
        let key = rsa_key()?;
        let stored = |label: &str, name: &str, usage| {
            let certificate = authority.issue(label, name, usage, &rsa_signer(&key)?)?;
            pack(label, &key, &certificate)
        };
        Ok(Self {
            root: authority.certificate.clone(),
            server: stored("server", NAME, ServerAuth)?,
            other_server: stored("other server", OTHER_NAME, ServerAuth)?,
            client: stored("client", "client.selftest.tlsgate.test", ClientAuth)?,
            peer: authority.identity("peer", NAME, ServerAuth)?,
            other_peer: authority.identity("other peer", OTHER_NAME, ServerAuth)?,
            peer_client: authority.identity("peer client", "peer.tlsgate.test", ClientAuth)?,
            stranger: strange.identity("stranger", NAME, ServerAuth)?,
            strange_client: strange.identity("strange client", "peer.tlsgate.test", ClientAuth)?,
            key,
        })
    }

    /// The server's certificate with its key, for rustls.
    pub fn server_for_rustls(&self) -> Result<Identity> {
        Ok(Identity {
            certificate: CertificateDer::from(self.server.der.clone()),
            key: PrivateKeyDer::Pkcs8(rsa_signer(&self.key)?.serialize_der().into()),
        })
    }

    /// Those for the machine's store.
    pub fn stored(&self) -> [&Made; 3] {
        [&self.server, &self.other_server, &self.client]
    }
}

/// How the driver finds a certificate.
pub fn reference(made: &Made) -> Certificate {
    Certificate::machine(made.thumbprint)
}

impl Authority {
    fn new(label: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut parameters = parameters(label, Vec::new())?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = parameters.self_signed(&key)?.der().clone();
        Ok(Self {
            certificate,
            issuer: Issuer::new(parameters, key),
        })
    }

    fn identity(
        &self,
        label: &str,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Identity> {
        let key = KeyPair::generate()?;
        Ok(Identity {
            certificate: self.issue(label, name, usage, &key)?,
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        })
    }

    fn issue(
        &self,
        label: &str,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
        key: &KeyPair,
    ) -> Result<CertificateDer<'static>> {
        let mut parameters = parameters(label, vec![name.to_owned()])?;
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        parameters.extended_key_usages = vec![usage];
        Ok(parameters.signed_by(key, &self.issuer)?.der().clone())
    }
}

fn parameters(label: &str, names: Vec<String>) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters
        .distinguished_name
        .push(DnType::CommonName, format!("{PREFIX}{label}"));
    // A day back: clocks differ.
    let now = OffsetDateTime::now_utc();
    parameters.not_before = now - Duration::days(1);
    parameters.not_after = now + Duration::days(DAYS);
    Ok(parameters)
}
