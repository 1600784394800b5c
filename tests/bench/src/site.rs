//! Whose handshakes are made.

use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};

/// A server's identity, ECDSA with P-256. The driver has it from the machine's store "MY", by its
/// thumbprint; the engine that scenarios call directly has it from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// The name that the certificate is for.
    pub name: String,
    /// The certificate in DER.
    pub certificate: Vec<u8>,
    /// The root that clients trust, in DER; the certificate itself if it signed itself.
    pub root: Vec<u8>,
    /// The private key, PKCS #8 in DER.
    pub key: Vec<u8>,
}

impl Site {
    /// SHA-1 of the certificate.
    #[must_use]
    pub fn thumbprint(&self) -> [u8; 20] {
        Sha1::digest(&self.certificate).into()
    }
}
