//! What a credential is to be: whose side, which certificates, what it checks of its peers.

use crate::{Certificate, Error};
use std::time::Duration;
use tlsgate_protocol::{
    CredentialId, limits,
    payload::{AcquireRequest, RequestHead, credential as flag, protocols, role},
};
use zerocopy::IntoBytes;

/// The protocol versions of a credential, a mask of [`protocols`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocols(pub u32);

impl Protocols {
    /// TLS 1.2 and TLS 1.3.
    pub const ALL: Self = Self(protocols::ALL);
    /// TLS 1.2 alone.
    pub const TLS1_2: Self = Self(protocols::TLS1_2);
    /// TLS 1.3 alone.
    pub const TLS1_3: Self = Self(protocols::TLS1_3);
}

/// How far the revocation of a peer's certificates is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The peer's own certificate.
    End,
    /// The whole chain.
    Chain,
    /// The whole chain but its root.
    ChainExceptRoot,
}

/// What [`Credential::acquire`](crate::Credential::acquire) asks for: Schannel's `SCH_CREDENTIALS`. It starts with
/// [`server`](Self::server) or [`client`](Self::client), whose defaults are the safe ones; each
/// method changes one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialOptions {
    role: u32,
    protocols: Protocols,
    flags: u32,
    certificates: Vec<Certificate>,
    principal: String,
    timeout: Option<Duration>,
    replaces: Option<CredentialId>,
}

impl CredentialOptions {
    /// The right to be the server that this certificate names. A server has at least one.
    #[must_use]
    pub fn server(certificate: Certificate) -> Self {
        Self::new(role::SERVER).certificate(certificate)
    }

    /// A client that shows no certificate, and checks chain and name of its servers.
    #[must_use]
    pub const fn client() -> Self {
        Self::new(role::CLIENT)
    }

    const fn new(role: u32) -> Self {
        Self {
            role,
            protocols: Protocols::ALL,
            flags: 0,
            certificates: Vec::new(),
            principal: String::new(),
            timeout: None,
            replaces: None,
        }
    }

    /// One certificate more, up to [`limits::MAX_CERTIFICATES`]. A server shows its clients the one
    /// that fits them.
    #[must_use]
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificates.push(certificate);
        self
    }

    /// These protocol versions only.
    #[must_use]
    pub const fn protocols(mut self, protocols: Protocols) -> Self {
        self.protocols = protocols;
        self
    }

    /// The server's certificate is not checked: [`Connection`](crate::Connection) tells what it is, and
    /// the caller judges before it trusts the server with anything. Clients only.
    #[must_use]
    pub const fn manual_check(self) -> Self {
        self.flag(flag::MANUAL_CHECK)
    }

    /// Checks the revocation of the peer's certificates too. Not with
    /// [`manual_check`](Self::manual_check).
    #[must_use]
    pub const fn revocation(mut self, how: Revocation) -> Self {
        self.flags &= !flag::REVOCATION;
        self.flag(match how {
            Revocation::End => flag::REVOCATION_END,
            Revocation::Chain => flag::REVOCATION_CHAIN,
            Revocation::ChainExceptRoot => flag::REVOCATION_CHAIN_EXCEPT_ROOT,
        })
    }

    /// With [`revocation`](Self::revocation): a certificate that names no revocation information is
    /// good.
    #[must_use]
    pub const fn ignore_no_revocation(self) -> Self {
        self.flag(flag::IGNORE_NO_REVOCATION)
    }

    /// With [`revocation`](Self::revocation): revocation information that cannot be reached is
    /// ignored.
    #[must_use]
    pub const fn ignore_revocation_offline(self) -> Self {
        self.flag(flag::IGNORE_REVOCATION_OFFLINE)
    }

    /// Sessions are not resumed, and no tickets are given out. Schannel has the flag for servers only
    /// (`SCH_CREDENTIALS`): for a client the driver can but ask for the shortest life of its sessions.
    /// What surely begins anew is a client with a credential of its own.
    #[must_use]
    pub const fn no_resumption(self) -> Self {
        self.flag(flag::NO_RESUMPTION)
    }

    /// A server asks its clients for a certificate. One that demands it says so in its
    /// [`ServerConfig`](crate::ServerConfig::client_auth) as well: then it is looked whether it came.
    #[must_use]
    pub const fn request_client_certificate(self) -> Self {
        self.flag(flag::REQUEST_CLIENT_CERTIFICATE)
    }

    /// The one server name that the credential is for. Servers only.
    #[must_use]
    pub fn principal(mut self, name: &str) -> Self {
        name.clone_into(&mut self.principal);
        self
    }

    /// Gives the request up after this time, instead of after the driver's default.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Takes the place of this credential: the new one has its id, and sessions of the old one live
    /// on with what they began with. For [`Driver::acquire`](crate::Driver::acquire); an owned one is
    /// replaced by [`Credential::replace`](crate::Credential::replace).
    #[must_use]
    pub const fn replaces(mut self, credential: CredentialId) -> Self {
        self.replaces = Some(credential);
        self
    }

    pub(crate) const fn is_new(&self) -> bool {
        self.replaces.is_none()
    }

    pub(crate) const fn replaces_none(mut self) -> Self {
        self.replaces = None;
        self
    }

    const fn flag(mut self, flag: u32) -> Self {
        self.flags |= flag;
        self
    }

    /// The request's wire form.
    pub(crate) fn request(&self) -> Result<Vec<u8>, Error> {
        if self.certificates.len() > limits::MAX_CERTIFICATES {
            return Err(Error::Certificates);
        }
        let head = AcquireRequest {
            head: RequestHead::default(),
            replaces: self.replaces.map_or(0, CredentialId::get),
            role: self.role,
            protocols: self.protocols.0,
            flags: self.flags,
            certificate_count: u32::try_from(self.certificates.len())
                .map_err(|_| Error::Certificates)?,
            principal_length: server_name(&self.principal)?,
            timeout_ms: milliseconds(self.timeout),
        };
        let mut request = head.as_bytes().to_vec();
        for certificate in &self.certificates {
            request.extend_from_slice(certificate.reference()?.as_bytes());
        }
        request.extend_from_slice(self.principal.as_bytes());
        Ok(request)
    }
}

/// The length of a server's name as it goes over the wire, when it is one.
pub fn server_name(name: &str) -> Result<u32, Error> {
    let is_name =
        name.len() <= limits::MAX_SERVER_NAME && name.bytes().all(|byte| byte.is_ascii_graphic());
    u32::try_from(name.len())
        .ok()
        .filter(|_| is_name)
        .ok_or(Error::ServerName)
}

/// A time-out for the wire, where 0 means the driver's default: a shorter one is a millisecond, and
/// one that is too long is left to the driver to refuse.
pub fn milliseconds(timeout: Option<Duration>) -> u32 {
    timeout.map_or(0, |timeout| {
        u32::try_from(timeout.as_millis())
            .unwrap_or(u32::MAX)
            .max(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Thumbprint;
    use tlsgate_protocol::{Ioctl, Request, Role, payload::AcquireReply};

    fn certificate(number: u8) -> Certificate {
        Certificate::machine(Thumbprint([number; 20]))
    }

    /// What the driver's own decoder makes of it.
    fn decoded(options: &CredentialOptions, check: impl FnOnce(tlsgate_protocol::Acquire<'_>)) {
        let bytes = options.request().unwrap();
        let room = size_of::<AcquireReply>();
        match Request::decode(Ioctl::AcquireCredential.code(), &bytes, room) {
            Ok((_, Request::Acquire(acquire))) => check(acquire),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_s_options_arrive() {
        let options = CredentialOptions::server(certificate(1))
            .certificate(certificate(2))
            .protocols(Protocols::TLS1_2)
            .request_client_certificate()
            .no_resumption()
            .principal("example.test")
            .timeout(Duration::from_secs(2));
        decoded(&options, |acquire| {
            let thumbprints: Vec<u8> = acquire
                .certificates
                .iter()
                .map(|it| it.thumbprint[0])
                .collect();
            assert_eq!(thumbprints, [1, 2]);
            assert_eq!(acquire.role, Role::Server);
            assert_eq!(acquire.protocols, protocols::TLS1_2);
            assert_eq!(
                acquire.flags,
                flag::REQUEST_CLIENT_CERTIFICATE | flag::NO_RESUMPTION
            );
            assert_eq!(acquire.principal, b"example.test");
            assert_eq!(acquire.timeout_ms.map(std::num::NonZero::get), Some(2000));
            assert_eq!(acquire.replaces, None);
        });
    }

    #[test]
    fn a_client_may_have_no_certificate_and_the_last_kind_of_revocation_counts() {
        let options = CredentialOptions::client()
            .revocation(Revocation::End)
            .revocation(Revocation::ChainExceptRoot)
            .ignore_revocation_offline();
        decoded(&options, |acquire| {
            assert_eq!(
                (acquire.role, acquire.certificates.len()),
                (Role::Client, 0)
            );
            assert_eq!(
                acquire.flags,
                flag::REVOCATION_CHAIN_EXCEPT_ROOT | flag::IGNORE_REVOCATION_OFFLINE
            );
        });
    }

    #[test]
    fn what_cannot_go_over_the_wire_is_told_by_name() {
        let too_many = (0..16).fold(CredentialOptions::server(certificate(0)), |options, it| {
            options.certificate(certificate(it))
        });
        assert!(matches!(too_many.request(), Err(Error::Certificates)));
        for name in ["a b", "ü.test", &"a".repeat(254)] {
            let options = CredentialOptions::server(certificate(0)).principal(name);
            assert!(
                matches!(options.request(), Err(Error::ServerName)),
                "{name}"
            );
        }
    }

    #[test]
    fn a_time_out_is_never_the_default_by_accident() {
        assert_eq!(milliseconds(None), 0);
        assert_eq!(milliseconds(Some(Duration::from_micros(1))), 1);
        assert_eq!(milliseconds(Some(Duration::MAX)), u32::MAX);
    }
}
