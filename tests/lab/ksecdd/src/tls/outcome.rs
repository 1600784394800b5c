//! What a leg came to, and what each TLS error is in SSPI's terms.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use windows_sys::Win32::Foundation::{
    SEC_E_ALGORITHM_MISMATCH, SEC_E_APPLICATION_PROTOCOL_MISMATCH, SEC_E_CERT_EXPIRED,
    SEC_E_CERT_UNKNOWN, SEC_E_DECRYPT_FAILURE, SEC_E_ILLEGAL_MESSAGE, SEC_E_INTERNAL_ERROR,
    SEC_E_INVALID_TOKEN, SEC_E_UNTRUSTED_ROOT, SEC_E_WRONG_PRINCIPAL,
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
        Error::InvalidCertificate(CertificateError::Expired) => {
            AlertDescription::CertificateExpired
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => AlertDescription::UnknownCA,
        Error::InvalidCertificate(_) => AlertDescription::BadCertificate,
        _ => AlertDescription::InternalError,
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
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => SEC_E_CERT_EXPIRED,
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => SEC_E_UNTRUSTED_ROOT,
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => SEC_E_WRONG_PRINCIPAL,
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => SEC_E_CERT_UNKNOWN,
        _ => SEC_E_INTERNAL_ERROR,
    }
}
