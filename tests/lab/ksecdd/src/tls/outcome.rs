//! What a leg came to, and what each TLS error is in SSPI's terms.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use windows_sys::Win32::{
    Foundation::{
        CERT_E_CHAINING, CERT_E_CN_NO_MATCH, CERT_E_EXPIRED, CERT_E_UNTRUSTEDROOT,
        CERT_E_WRONG_USAGE, CRYPT_E_NO_REVOCATION_CHECK, CRYPT_E_REVOCATION_OFFLINE,
        CRYPT_E_REVOKED, SEC_E_ALGORITHM_MISMATCH, SEC_E_APPLICATION_PROTOCOL_MISMATCH,
        SEC_E_CERT_EXPIRED, SEC_E_CERT_UNKNOWN, SEC_E_CERT_WRONG_USAGE, SEC_E_DECRYPT_FAILURE,
        SEC_E_ILLEGAL_MESSAGE, SEC_E_INTERNAL_ERROR, SEC_E_INVALID_TOKEN, SEC_E_UNTRUSTED_ROOT,
        SEC_E_WRONG_PRINCIPAL, TRUST_E_CERT_SIGNATURE,
    },
    Security::Cryptography::{
        CERT_TRUST_IS_NOT_SIGNATURE_VALID, CERT_TRUST_IS_NOT_TIME_VALID,
        CERT_TRUST_IS_NOT_VALID_FOR_USAGE, CERT_TRUST_IS_OFFLINE_REVOCATION,
        CERT_TRUST_IS_PARTIAL_CHAIN, CERT_TRUST_IS_REVOKED, CERT_TRUST_IS_UNTRUSTED_ROOT,
        CERT_TRUST_REVOCATION_STATUS_UNKNOWN,
    },
};

/// What a leg came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The SECURITY_STATUS.
    pub status: i32,
    /// Bytes of input that were processed; what follows them is the EXTRA buffer.
    pub consumed: usize,
    /// With `SEC_E_INCOMPLETE_MESSAGE`: how many bytes would be welcome. A hint.
    pub missing: Option<usize>,
    /// Bytes for the peer. With an error status, the alert's record.
    pub token: Vec<u8>,
    /// The alert in `token`.
    pub alert: Option<Alert>,
}

impl Outcome {
    /// A leg that made no alert and took nothing.
    pub fn refused(status: i32) -> Self {
        Self {
            status,
            consumed: 0,
            missing: None,
            token: Vec::new(),
            alert: None,
        }
    }
}

/// An alert for the peer (RFC 8446, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert {
    /// 1 warning, 2 fatal.
    pub level: u8,
    /// Its description's number.
    pub description: u8,
}

impl Alert {
    /// A fatal alert.
    pub fn fatal(description: AlertDescription) -> Self {
        Self {
            level: 2,
            description: description.into(),
        }
    }
}

/// The alert that rustls sends for `error`. rustls does not tell once the alert is encrypted.
pub fn alert_of(error: &Error) -> AlertDescription {
    match error {
        Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge)
        | Error::PeerMisbehaved(_) => AlertDescription::IllegalParameter,
        Error::InvalidMessage(_) => AlertDescription::DecodeError,
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            AlertDescription::UnexpectedMessage
        }
        Error::PeerIncompatible(_) => AlertDescription::HandshakeFailure,
        Error::NoApplicationProtocol => AlertDescription::NoApplicationProtocol,
        Error::PeerSentOversizedRecord => AlertDescription::RecordOverflow,
        Error::DecryptError => AlertDescription::BadRecordMac,
        Error::NoCertificatesPresented => AlertDescription::CertificateRequired,
        Error::InvalidCertificate(error) => error.clone().into(),
        Error::General(what) if what == NO_CERTIFICATE_CHOSEN => AlertDescription::AccessDenied,
        _ => AlertDescription::InternalError,
    }
}

/// rustls' words when a server has no certificate for the name that the client wants.
const NO_CERTIFICATE_CHOSEN: &str = "no server certificate chain resolved";

/// What is wrong with a certificate, in the terms of SSPI and of the chain engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defect {
    /// What a leg ends in over it (`InitializeSecurityContext` (Schannel), MicrosoftDocs/win32).
    pub status: i32,
    /// `CERT_TRUST_STATUS.dwErrorStatus`.
    pub trust: u32,
    /// What the chain policy says (`CERT_CHAIN_POLICY_STATUS.dwError`).
    pub policy: i32,
}

impl Defect {
    /// What `error` is.
    pub fn of(error: &CertificateError) -> Self {
        let (status, trust, policy) = match error {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => (
                SEC_E_CERT_EXPIRED,
                CERT_TRUST_IS_NOT_TIME_VALID,
                CERT_E_EXPIRED,
            ),
            CertificateError::UnknownIssuer => (
                SEC_E_UNTRUSTED_ROOT,
                CERT_TRUST_IS_UNTRUSTED_ROOT,
                CERT_E_UNTRUSTEDROOT,
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                (SEC_E_WRONG_PRINCIPAL, 0, CERT_E_CN_NO_MATCH)
            }
            CertificateError::Revoked => (CRYPT_E_REVOKED, CERT_TRUST_IS_REVOKED, CRYPT_E_REVOKED),
            CertificateError::UnknownRevocationStatus => (
                CRYPT_E_NO_REVOCATION_CHECK,
                CERT_TRUST_REVOCATION_STATUS_UNKNOWN,
                CRYPT_E_NO_REVOCATION_CHECK,
            ),
            CertificateError::ExpiredRevocationList
            | CertificateError::ExpiredRevocationListContext { .. } => (
                CRYPT_E_REVOCATION_OFFLINE,
                CERT_TRUST_REVOCATION_STATUS_UNKNOWN | CERT_TRUST_IS_OFFLINE_REVOCATION,
                CRYPT_E_REVOCATION_OFFLINE,
            ),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => (
                SEC_E_CERT_WRONG_USAGE,
                CERT_TRUST_IS_NOT_VALID_FOR_USAGE,
                CERT_E_WRONG_USAGE,
            ),
            CertificateError::BadSignature => (
                SEC_E_CERT_UNKNOWN,
                CERT_TRUST_IS_NOT_SIGNATURE_VALID,
                TRUST_E_CERT_SIGNATURE,
            ),
            _ => (
                SEC_E_CERT_UNKNOWN,
                CERT_TRUST_IS_PARTIAL_CHAIN,
                CERT_E_CHAINING,
            ),
        };
        Self {
            status,
            trust,
            policy,
        }
    }
}

/// The SECURITY_STATUS that stands for `error`. Which of Schannel's codes answers which defect is
/// assumed wherever `AcceptSecurityContext` (Schannel), MicrosoftDocs/win32, does not say it.
pub fn status_of(error: &Error) -> i32 {
    match error {
        Error::NoApplicationProtocol => SEC_E_APPLICATION_PROTOCOL_MISMATCH,
        Error::PeerIncompatible(_) => SEC_E_ALGORITHM_MISMATCH,
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge,
        ) => SEC_E_INVALID_TOKEN,
        Error::InvalidMessage(_)
        | Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerSentOversizedRecord
        | Error::AlertReceived(_) => SEC_E_ILLEGAL_MESSAGE,
        Error::DecryptError => SEC_E_DECRYPT_FAILURE,
        Error::InvalidCertificate(error) => Defect::of(error).status,
        Error::NoCertificatesPresented => SEC_E_CERT_UNKNOWN,
        Error::General(what) if what == NO_CERTIFICATE_CHOSEN => SEC_E_WRONG_PRINCIPAL,
        _ => SEC_E_INTERNAL_ERROR,
    }
}
