//! ACQUIRE_CREDENTIAL, checked.

use crate::{
    CredentialId, DecodeError,
    decode::{is_name, split},
    limits,
    payload::{
        AcquireRequest, CertificateReference, credential as flag, protocols, role, store_scope,
    },
};
use core::num::NonZeroU32;
use zerocopy::FromBytes;

/// ACQUIRE_CREDENTIAL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquire<'a> {
    /// Whose side it is for.
    pub role: Role,
    /// [`protocols`], never 0.
    pub protocols: u32,
    /// [`credential`](crate::payload::credential); those that make sense together and for the role.
    pub flags: u32,
    /// The certificates; at least one for a server.
    pub certificates: Certificates<'a>,
    /// The one server name it is for, ASCII; empty for any.
    pub principal: &'a [u8],
    /// Milliseconds; `None` for the driver's default.
    pub timeout_ms: Option<NonZeroU32>,
    /// The credential whose id it takes over.
    pub replaces: Option<CredentialId>,
}

/// Whose side a credential, and a session, is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It accepts.
    Server,
    /// It connects.
    Client,
}

/// Certificates of a credential; the name and the store's scope of each have been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificates<'a>(&'a [u8]);

/// Checks a caller's request.
pub fn acquire(input: &[u8]) -> Result<Acquire<'_>, DecodeError> {
    let (request, rest) =
        AcquireRequest::read_from_prefix(input).map_err(|_| DecodeError::InputTooSmall)?;
    let role = match request.role {
        role::SERVER => Role::Server,
        role::CLIENT => Role::Client,
        _ => return Err(DecodeError::Field),
    };
    let (certificates, rest) = certificates(rest, request.certificate_count)?;
    let (principal, rest) = split(rest, request.principal_length, limits::MAX_SERVER_NAME)?;
    if !rest.is_empty() {
        return Err(DecodeError::InputTooLarge);
    }
    let fits_the_role = match role {
        Role::Server => {
            certificates.len() > 0
                && (principal.is_empty() || is_name(principal))
                // "Client only", says the page of `SCH_CREDENTIALS`.
                && request.flags & flag::MANUAL_CHECK == 0
        }
        Role::Client => {
            principal.is_empty() && request.flags & flag::REQUEST_CLIENT_CERTIFICATE == 0
        }
    };
    if !fits_the_role || !flags_make_sense(request.flags) {
        return Err(DecodeError::Field);
    }
    let protocols = match request.protocols {
        0 => protocols::ALL,
        chosen if chosen & !protocols::ALL == 0 => chosen,
        _ => return Err(DecodeError::Field),
    };
    Ok(Acquire {
        role,
        protocols,
        flags: request.flags,
        certificates,
        principal,
        timeout_ms: NonZeroU32::new(request.timeout_ms),
        replaces: CredentialId::from_wire(request.replaces),
    })
}

/// A credential's flags: known ones, at most one kind of revocation check, and nothing about
/// revocation without one, or where the caller checks for itself.
const fn flags_make_sense(flags: u32) -> bool {
    let kinds = (flags & flag::REVOCATION).count_ones();
    let about_revocation =
        flag::REVOCATION | flag::IGNORE_NO_REVOCATION | flag::IGNORE_REVOCATION_OFFLINE;
    let is_about_revocation = flags & about_revocation != 0;
    let is_manual = flags & flag::MANUAL_CHECK != 0;
    flags & !flag::ALL == 0 && kinds <= 1 && (!is_about_revocation || (kinds == 1 && !is_manual))
}

/// The first `count` references of `bytes`, each checked, and what follows them.
fn certificates(bytes: &[u8], count: u32) -> Result<(Certificates<'_>, &[u8]), DecodeError> {
    let count = usize::try_from(count).map_err(|_| DecodeError::Field)?;
    if count > limits::MAX_CERTIFICATES {
        return Err(DecodeError::Field);
    }
    let (references, rest) = count
        .checked_mul(size_of::<CertificateReference>())
        .and_then(|length| bytes.split_at_checked(length))
        .ok_or(DecodeError::InputTooSmall)?;
    let certificates = Certificates(references);
    if certificates
        .iter()
        .all(|reference| is_reference(&reference))
    {
        Ok((certificates, rest))
    } else {
        Err(DecodeError::Field)
    }
}

fn is_reference(certificate: &CertificateReference) -> bool {
    let scope_is_known = matches!(
        certificate.store_scope,
        store_scope::MACHINE | store_scope::USER
    );
    let name_is_good = certificate
        .store_name()
        .is_some_and(|name| !name.contains(&0));
    scope_is_known && name_is_good && certificate.reserved == 0
}

impl<'a> Certificates<'a> {
    /// How many.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.0.len() / size_of::<CertificateReference>()
    }

    /// One by one. The caller's bytes need not be aligned, so these are copies.
    pub fn iter(&self) -> impl Iterator<Item = CertificateReference> + use<'a> {
        self.0
            .chunks_exact(size_of::<CertificateReference>())
            .filter_map(|bytes| CertificateReference::read_from_bytes(bytes).ok())
    }
}
