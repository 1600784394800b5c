//! What a credential thinks of a peer's certificates: the chain up to a trusted root, revocation,
//! the name. Whether the handshake ends over it depends on the credential's flags
//! (`SCH_CREDENTIALS`, MicrosoftDocs/sdk-api).

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{
        WebPkiSupportedAlgorithms, ring::default_provider, verify_tls12_signature,
        verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use std::{
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
};
use tlsgate_lab_control::ksecdd::{Revocation, RevocationInformation};

/// Whose certificates are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// A client credential judges servers.
    Servers,
    /// A server credential judges clients.
    Clients,
}

/// Which certificates of a chain are looked up in the list of revoked ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The peer's own (`SCH_CRED_REVOCATION_CHECK_END_CERT`).
    Own,
    /// All (`SCH_CRED_REVOCATION_CHECK_CHAIN`).
    Chain,
    /// All but the root (`SCH_CRED_REVOCATION_CHECK_CHAIN_EXCLUDE_ROOT`).
    ChainButRoot,
}

/// How a credential wants revocation checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RevocationCheck {
    /// Which certificates; `None` for no check.
    pub scope: Option<Scope>,
    /// It does not matter that there is no information (`SCH_CRED_IGNORE_NO_REVOCATION_CHECK`).
    pub ignore_none: bool,
    /// It does not matter that the information is not to be had now
    /// (`SCH_CRED_IGNORE_REVOCATION_OFFLINE`).
    pub ignore_offline: bool,
}

/// Judges certificates.
#[derive(Debug)]
pub struct Judge {
    peers: Peers,
    /// A bad certificate ends the handshake.
    automatic: bool,
    roots: Vec<CertificateDer<'static>>,
    trusted: Arc<RootCertStore>,
    check: RevocationCheck,
    known: Mutex<Revocation>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Judge {
    /// A judge that trusts `roots`.
    pub fn new(
        peers: Peers,
        automatic: bool,
        roots: Vec<CertificateDer<'static>>,
        check: RevocationCheck,
    ) -> Self {
        let mut trusted = RootCertStore::empty();
        trusted.add_parsable_certificates(roots.iter().cloned());
        Self {
            peers,
            automatic,
            roots,
            trusted: Arc::new(trusted),
            check,
            known: Mutex::default(),
            algorithms: default_provider().signature_verification_algorithms,
        }
    }

    /// Whether a bad certificate ends the handshake.
    pub fn is_automatic(&self) -> bool {
        self.automatic
    }

    /// Learns what is known about revoked certificates from now on.
    pub fn learn(&self, revocation: Revocation) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = revocation;
    }

    /// Judges a chain, the peer's own certificate first, now.
    pub fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        name: Option<&ServerName<'_>>,
    ) -> Result<(), Error> {
        let [own, others @ ..] = chain else {
            return Err(Error::NoCertificatesPresented);
        };
        self.judge_chain(own, others)?;
        self.judge_revocation(chain)?;
        match name {
            Some(name) => verify_server_name(&ParsedCertificate::try_from(own)?, name),
            None => Ok(()),
        }
    }

    fn judge_chain(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        let now = UnixTime::now();
        let judged = match self.peers {
            Peers::Servers => verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(own)?,
                &self.trusted,
                others,
                now,
                self.algorithms.all,
            ),
            Peers::Clients if self.trusted.is_empty() => {
                Err(CertificateError::UnknownIssuer.into())
            }
            Peers::Clients => WebPkiClientVerifier::builder_with_provider(
                Arc::clone(&self.trusted),
                Arc::new(default_provider()),
            )
            .build()
            .map_err(|error| Error::General(error.to_string()))?
            .verify_client_cert(own, others, now)
            .map(|_| ()),
        };
        match judged {
            // A trusted certificate that is also an authority's, as self-signed ones often are:
            // Windows takes it, the library does not.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.roots.contains(own) =>
            {
                Ok(())
            }
            judged => judged,
        }
    }

    fn judge_revocation(&self, chain: &[CertificateDer<'_>]) -> Result<(), Error> {
        let looked_up = match self.check.scope {
            None => return Ok(()),
            Some(Scope::Own) => &chain[..1],
            Some(Scope::Chain | Scope::ChainButRoot) => chain,
        };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let spared = |certificate: &CertificateDer<'_>| {
            self.check.scope == Some(Scope::ChainButRoot) && self.roots.contains(certificate)
        };
        let revoked = looked_up
            .iter()
            .filter(|it| !spared(it))
            .any(|certificate| {
                let thumbprint = thumbprint(certificate);
                known
                    .revoked
                    .iter()
                    .any(|revoked| revoked.eq_ignore_ascii_case(&thumbprint))
            });
        let verdict = match known.information {
            _ if revoked => CertificateError::Revoked,
            RevocationInformation::None if !self.check.ignore_none => {
                CertificateError::UnknownRevocationStatus
            }
            RevocationInformation::Offline if !self.check.ignore_offline => {
                CertificateError::ExpiredRevocationList
            }
            _ => return Ok(()),
        };
        Err(verdict.into())
    }
}

/// SHA-1 of a certificate, in hexadecimal.
pub fn thumbprint(certificate: &[u8]) -> String {
    hexadecimal(ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, certificate).as_ref())
}

/// Bytes in hexadecimal, capital letters.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        _ = write!(text, "{byte:02X}");
        text
    })
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.automatic {
            let chain: Vec<_> = [own].into_iter().chain(others).cloned().collect();
            self.judge(&chain, Some(name))?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Judge {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// A server's caller judges clients by `SECPKG_ATTR_CERT_CHECK_RESULT_INPROC` after the
    /// handshake (microsoft/msquic); there is no flag for an automatic check.
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
