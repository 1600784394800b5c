//! What the stand-in needs of the machine it runs on; tests have one of their own.

use crate::{async_context::Callback, rules::Broken, tls::config::Identity};
use rustls::pki_types::CertificateDer;

/// The machine.
pub trait Machine: Send + Sync {
    /// A rule was broken. On the machine under test this does not return.
    fn stop(&self, broken: &Broken);
    /// Tells the token apart that the current thread acts under; 0 when nobody keeps count.
    fn token(&self) -> u64;
    /// The current thread's IRQL.
    fn irql(&self) -> u8;
    /// Calls the driver back at an IRQL, for the async context at `context`.
    fn call_back(&self, irql: u8, callback: Callback, context: usize);
    /// Whether so many bytes can be accessed from `address`, for writing if need be.
    fn is_accessible(&self, address: usize, length: usize, writing: bool) -> bool;
    /// The name of the account whose token that is: "SYSTEM" when nobody keeps count.
    fn account(&self) -> String;
    /// A certificate with its private key, and who may use that.
    fn key(&self, wanted: &Wanted) -> Option<Key>;
    /// The roots that the machine trusts.
    fn roots(&self) -> Vec<CertificateDer<'static>>;
}

/// A certificate with its private key.
#[derive(Debug)]
pub struct Key {
    /// Certificate and key.
    pub identity: Identity,
    /// The accounts that the key was given to; `None` when nobody was named.
    pub given_to: Option<Vec<String>>,
}

impl Key {
    /// Whether `account` may use the key: one of the machine's store is for SYSTEM and Administrators
    /// and those it was given to; one of a user's store is for that user alone. (Keys in a file have
    /// an access-control list; that of the machine's has these two by default: "Key Storage and
    /// Retrieval", MicrosoftDocs/win32.) When it is not told whose the user's store is, it is
    /// that of SYSTEM or an administrator, as whom everything runs in the lab.
    pub fn is_for(&self, of_machine: bool, account: &str) -> bool {
        let privileged = ["SYSTEM", "Administrators"]
            .iter()
            .any(|name| name.eq_ignore_ascii_case(account));
        match &self.given_to {
            None => privileged,
            Some(given_to) => {
                (of_machine && privileged)
                    || given_to
                        .iter()
                        .any(|name| name.eq_ignore_ascii_case(account))
            }
        }
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Tells the token apart.
    pub token: u64,
    /// Whose it is.
    pub account: String,
}

impl Actor {
    /// Whom the current thread acts for.
    pub fn current(machine: &dyn Machine) -> Self {
        Self {
            token: machine.token(),
            account: machine.account(),
        }
    }

    /// The security subsystem itself.
    pub fn system() -> Self {
        Self {
            token: 0,
            account: "SYSTEM".to_owned(),
        }
    }
}

/// How a credential names its certificate (`SCHANNEL_CERT_HASH_STORE`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// SHA-1 of the certificate.
    pub thumbprint: [u8; 20],
    /// The store, as "MY".
    pub store: String,
    /// The store is the machine's, not the user's.
    pub of_machine: bool,
}
