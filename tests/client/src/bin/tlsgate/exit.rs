//! Exit codes, and the errors that have one of their own. `tlsgate --help` lists them.

use std::{fmt, io};
use tlsgate::{Error, protocol::NtStatus};

/// How the program ends when it has not done what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// For any other reason.
    Failed = 1,
    /// The command line makes no sense; clap ends the program with this number too.
    Usage = 2,
    /// The driver is not installed, or not running.
    NoDriver = 3,
    /// Windows, or the driver, does not let this account.
    Denied = 4,
    /// Driver and program speak different ABI versions.
    OtherVersion = 5,
}

/// An error whose exit code does not follow from what caused it.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// One with this exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The exit code of an error.
pub fn code(error: &anyhow::Error) -> Exit {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.exit;
    }
    let io = error.downcast_ref::<io::Error>();
    let ours = error.downcast_ref().or_else(|| io.and_then(Error::of));
    match (ours, io) {
        (Some(Error::Open(error)), _) if error.kind() == io::ErrorKind::NotFound => Exit::NoDriver,
        (Some(Error::Open(error)), _) | (None, Some(error)) => of_io(error),
        (Some(Error::Refused { status, .. }), _) => match *status {
            NtStatus::STATUS_ACCESS_DENIED => Exit::Denied,
            NtStatus::STATUS_REVISION_MISMATCH => Exit::OtherVersion,
            _ => Exit::Failed,
        },
        (Some(_), _) | (None, None) => Exit::Failed,
    }
}

/// The exit code of what Windows said.
pub fn of_io(error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Exit::Denied,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};
    use tlsgate::protocol::Ioctl;

    #[test]
    fn what_scripts_tell_apart_has_a_code_of_its_own_under_any_context() {
        let of = |error: anyhow::Error| code(&error.context("doing this").context("and that"));
        let open = |kind| anyhow!(Error::Open(io::Error::from(kind)));
        let refused = |status| {
            anyhow!(Error::Refused {
                ioctl: Ioctl::Accept,
                status
            })
        };
        assert_eq!(of(open(io::ErrorKind::NotFound)), Exit::NoDriver);
        assert_eq!(of(open(io::ErrorKind::PermissionDenied)), Exit::Denied);
        assert_eq!(of(open(io::ErrorKind::TimedOut)), Exit::Failed);
        assert_eq!(of(refused(NtStatus::STATUS_ACCESS_DENIED)), Exit::Denied);
        let other = refused(NtStatus::STATUS_REVISION_MISMATCH);
        assert_eq!(of(other), Exit::OtherVersion);
        assert_eq!(of(refused(NtStatus::STATUS_NOT_FOUND)), Exit::Failed);
        assert_eq!(of(anyhow!(Failure::new(Exit::Usage, "no"))), Exit::Usage);
        // A file that is not there is no driver that is not there.
        let file: anyhow::Result<()> = Err(io::Error::from(io::ErrorKind::NotFound)).context("x");
        assert_eq!(of(file.unwrap_err()), Exit::Failed);
    }
}
