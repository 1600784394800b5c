//! What the stand-in needs of the machine it runs on; tests have one of their own.

use crate::{rules::Broken, tls::config::Identity};
use rustls::pki_types::CertificateDer;

/// The machine.
pub trait Machine: Send + Sync {
    /// A rule was broken. On the machine under test this does not return.
    fn stop(&self, broken: &Broken);
    /// Tells the token apart that the current thread acts under; 0 when nobody keeps count.
    fn token(&self) -> u64;
    /// The current thread's IRQL.
    fn irql(&self) -> u8;
    /// Sets the current thread's IRQL and returns what it was.
    fn set_irql(&self, irql: u8) -> u8;
    /// Whether so many bytes can be accessed from `address`, for writing if need be.
    fn is_accessible(&self, address: usize, length: usize, writing: bool) -> bool;
    /// A certificate with its private key.
    fn identity(&self, wanted: &Wanted) -> Option<Identity>;
    /// The roots that the machine trusts.
    fn roots(&self) -> Vec<CertificateDer<'static>>;
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
