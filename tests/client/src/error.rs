//! Everything that can go wrong, with what to do about it.

use crate::{
    Check,
    status::{alert_name, describe_nt_status, describe_security_status},
};
use std::{fmt, io};
use tlsgate_protocol::{
    ABI_VERSION, DEVICE_PATH, Ioctl, NtStatus, SecurityStatus,
    limits::{MAX_CERTIFICATES, MAX_SERVER_NAME},
};

/// Why something could not be done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The device could not be opened.
    Open(io::Error),
    /// The driver refused an IOCTL: misuse, a quota, or a cancelled request.
    Refused {
        /// Which one.
        ioctl: Ioctl,
        /// With what.
        status: NtStatus,
    },
    /// The driver's reply is not what this version of the contract says.
    Reply {
        /// To which IOCTL.
        ioctl: Ioctl,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The security subsystem said no to something other than a handshake or a record.
    Security {
        /// Which IOCTL asked.
        ioctl: Ioctl,
        /// What it said.
        status: SecurityStatus,
    },
    /// The handshake failed; an alert, if there was one, has been sent to the peer.
    Handshake {
        /// Why.
        status: SecurityStatus,
        /// Level and description of the alert, where the security subsystem told it.
        alert: Option<(u8, u8)>,
    },
    /// Data could not be sealed or unsealed; the session is of no more use.
    Record {
        /// SEAL or UNSEAL.
        ioctl: Ioctl,
        /// Why.
        status: SecurityStatus,
    },
    /// The stream below TLS failed during the handshake. Later its errors are passed on as they are.
    Stream {
        /// What was being done.
        doing: &'static str,
        /// What the stream said.
        error: io::Error,
    },
    /// The peer ended the stream without close_notify: somebody may have cut off what it said.
    Cut,
    /// The server has no credential for the name that the client wants.
    NoCredential,
    /// The peer closed the stream in the middle of the handshake.
    Vanished,
    /// The handshake took longer than its limit.
    TooSlow,
    /// The peer sent more handshake bytes than one leg may carry, and still no whole message.
    TooMuchInput,
    /// The text is no thumbprint.
    Thumbprint,
    /// The store's name is longer than the driver takes.
    StoreName,
    /// More certificates than a credential may have.
    Certificates,
    /// The text is no server's name.
    ServerName,
    /// A protocol name of the ALPN list is empty, or it or the list is too long.
    Alpn,
    /// The client shows no certificate, and the server demands one.
    NoClientCertificate,
    /// The client's certificate is not good, or `None`: this Windows cannot tell whether it is.
    ClientCertificate(Option<Check>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => {
                write!(
                    f,
                    "cannot open {DEVICE_PATH}: {error}; {}",
                    open_advice(error)
                )
            }
            Self::Refused { ioctl, status } => {
                write!(
                    f,
                    "{} was refused: {}",
                    ioctl.name(),
                    describe_nt_status(*status)
                )
            }
            Self::Reply { ioctl, problem } => write!(
                f,
                "the reply to {} is not of ABI version {ABI_VERSION} ({problem}); \
                 run `tlsgate install` so that program and driver match",
                ioctl.name()
            ),
            Self::Security { ioctl, status } => {
                write!(
                    f,
                    "{} failed: {}",
                    ioctl.name(),
                    describe_security_status(*status)
                )
            }
            Self::Handshake { status, alert } => {
                write!(f, "handshake failed: {}", describe_security_status(*status))?;
                match alert {
                    Some((_, description)) => write!(f, "; alert {}", alert_name(*description)),
                    None => Ok(()),
                }
            }
            Self::Record { ioctl, status } => {
                let doing = match ioctl {
                    Ioctl::Seal => "sealing data for the peer",
                    _ => "unsealing the peer's data",
                };
                write!(f, "{doing} failed: {}", describe_security_status(*status))
            }
            Self::Stream { doing, error } => write!(f, "{doing} failed: {error}"),
            Self::Cut => write!(f, "the peer ended the connection without close_notify"),
            Self::NoCredential => write!(
                f,
                "handshake refused: no credential for the server name that the client wants"
            ),
            Self::Vanished => write!(f, "the peer closed the connection during the handshake"),
            Self::TooSlow => write!(f, "the handshake took too long"),
            Self::TooMuchInput => {
                write!(f, "handshake refused: a message of the peer's is too large")
            }
            Self::Thumbprint => write!(
                f,
                "not a thumbprint; it has 40 hexadecimal digits, as `tlsgate cert list` prints them"
            ),
            Self::StoreName => write!(f, "the store's name is too long"),
            Self::Certificates => write!(
                f,
                "too many certificates; a credential has at most {MAX_CERTIFICATES}"
            ),
            Self::ServerName => write!(
                f,
                "not a server's name; it is ASCII without spaces, and at most {MAX_SERVER_NAME} bytes"
            ),
            Self::Alpn => write!(
                f,
                "not an ALPN list; a name has 1 to 255 bytes, and all together at most 1,024"
            ),
            Self::NoClientCertificate => write!(f, "the client shows no certificate"),
            Self::ClientCertificate(Some(check)) => write!(
                f,
                "the client's certificate is not good: {} (chain errors 0x{:X})",
                describe_security_status(check.result),
                check.chain_errors
            ),
            Self::ClientCertificate(None) => write!(
                f,
                "this Windows does not tell whether the client's certificate is good"
            ),
        }
    }
}

/// What to do when the device cannot be opened; the two Windows errors that have a cure.
fn open_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "the driver is not running: `tlsgate install` installs and starts it"
        }
        io::ErrorKind::PermissionDenied => {
            "run it as an administrator, or let the driver's Parameters admit this account"
        }
        _ => "`tlsgate doctor` may tell more",
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The messages above contain the inner error's already.
        None
    }
}

impl Error {
    /// The error of this library that is inside an [`io::Error`], if one is.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Stream {
                error: ref cause, ..
            }
            | Error::Open(ref cause) => Self::new(cause.kind(), error),
            Error::Vanished | Error::Cut => Self::new(io::ErrorKind::UnexpectedEof, error),
            Error::Handshake { .. } | Error::Record { .. } | Error::TooMuchInput => {
                Self::new(io::ErrorKind::InvalidData, error)
            }
            Error::NoClientCertificate | Error::ClientCertificate(_) | Error::NoCredential => {
                Self::new(io::ErrorKind::PermissionDenied, error)
            }
            Error::ServerName | Error::Alpn => Self::new(io::ErrorKind::InvalidInput, error),
            Error::TooSlow
            | Error::Refused {
                status: NtStatus::STATUS_IO_TIMEOUT,
                ..
            } => Self::new(io::ErrorKind::TimedOut, error),
            other => Self::other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_driver_names_its_cure() {
        let error = Error::Open(io::Error::from(io::ErrorKind::NotFound)).to_string();
        assert!(
            error.contains(r"\\.\TlsGate") && error.contains("`tlsgate install`"),
            "{error}"
        );
        let error = Error::Open(io::Error::from(io::ErrorKind::PermissionDenied)).to_string();
        assert!(error.contains("administrator"), "{error}");
    }

    #[test]
    fn a_failed_handshake_tells_status_and_alert() {
        let status = SecurityStatus::SEC_E_APPLICATION_PROTOCOL_MISMATCH;
        let error = Error::Handshake {
            status,
            alert: Some((2, 120)),
        }
        .to_string();
        assert!(
            error.contains("SEC_E_APPLICATION_PROTOCOL_MISMATCH"),
            "{error}"
        );
        assert!(error.ends_with("alert no_application_protocol"), "{error}");
    }
}
