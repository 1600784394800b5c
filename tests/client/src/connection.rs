//! What a handshake negotiated, as a program or a person wants to know it.

use rustls::{CipherSuite, HandshakeKind, ProtocolVersion};
use rustls_pki_types::CertificateDer;
use tlsgate_protocol::{
    SecurityStatus, limits,
    payload::{SessionReply, session_flags, state},
};

/// What was negotiated, and with whom: what `QueryContextAttributesW` says (Microsoft's documentation of
/// `QueryContextAttributes (Schannel)`, and of `SecPkgContext_ConnectionInfo`,
/// `SecPkgContext_ApplicationProtocol`, `SecPkgContext_SessionInfo` and `SecPkgContext_StreamSizes`).
/// The methods have rustls' names where they mean the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// The TLS version on the wire: 0x0303 or 0x0304.
    pub protocol: u32,
    /// IANA number of the cipher suite.
    pub cipher_suite: u32,
    /// `ALG_ID` of the key exchange.
    pub key_exchange: u32,
    /// Its strength, in bits.
    pub key_exchange_bits: u32,
    /// The application protocol, if one was negotiated.
    pub alpn: Option<Vec<u8>>,
    /// [`state`] of the session.
    pub state: u32,
    /// Whether the session was resumed: no certificate was sent in this handshake.
    pub resumed: bool,
    /// The peer's certificates as DER, its own first; none when it showed none.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Of a server's connection: the server name that the client wants, if it says one.
    pub server_name: Option<String>,
    /// What checking the certificates gave; `None` when they were not checked, or nobody can tell.
    pub check: Option<Check>,
    /// Bytes in front of a record's data.
    pub header: usize,
    /// Bytes behind a record's data.
    pub trailer: usize,
    /// Most bytes of data in a record.
    pub maximum_message: usize,
}

/// The cipher suite of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NegotiatedCipherSuite(CipherSuite);

impl NegotiatedCipherSuite {
    /// Its number in the IANA registry, with a name.
    #[must_use]
    pub const fn suite(self) -> CipherSuite {
        self.0
    }
}

/// What checking the peer's certificates gave (Microsoft's documentation of
/// `SecPkgContext_CertificateValidationResult`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// `CERT_TRUST_*` error bits of the chain, 0 when there are none.
    pub chain_errors: u32,
    /// The outcome, an `HRESULT`.
    pub result: SecurityStatus,
}

impl Check {
    /// Whether nothing was found fault with.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.chain_errors == 0 && self.result == SecurityStatus::SEC_E_OK
    }
}

impl Connection {
    /// What a reply to QUERY_SESSION says, with the certificates behind it.
    pub(crate) fn new(reply: &SessionReply, certificates: Vec<CertificateDer<'static>>) -> Self {
        let checked = reply.flags & session_flags::CHECKED != 0;
        Self {
            protocol: reply.protocol,
            cipher_suite: reply.cipher_suite,
            key_exchange: reply.key_exchange,
            key_exchange_bits: reply.key_exchange_bits,
            alpn: reply
                .alpn
                .get(..size(reply.alpn_length))
                .filter(|name| !name.is_empty())
                .map(<[u8]>::to_vec),
            state: reply.state,
            resumed: reply.flags & session_flags::RESUMED != 0,
            certificates,
            server_name: None,
            check: checked.then_some(Check {
                chain_errors: reply.chain_errors,
                result: SecurityStatus(reply.check_result),
            }),
            header: size(reply.header),
            trailer: size(reply.trailer),
            maximum_message: size(reply.maximum_message),
        }
    }

    /// The application protocol that was negotiated (RFC 7301), if one was.
    #[must_use]
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// The peer's certificates as it sent them, its own first; `None` when it showed none. Whether they
    /// are good, [`check`](Self::check) tells.
    #[must_use]
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        Some(self.certificates.as_slice()).filter(|it| !it.is_empty())
    }

    /// The TLS version.
    #[must_use]
    pub fn protocol_version(&self) -> Option<ProtocolVersion> {
        u16::try_from(self.protocol).ok().map(Into::into)
    }

    /// The cipher suite.
    #[must_use]
    pub fn negotiated_cipher_suite(&self) -> Option<NegotiatedCipherSuite> {
        let number = u16::try_from(self.cipher_suite).ok()?;
        Some(NegotiatedCipherSuite(number.into()))
    }

    /// Whether the session was resumed. That a full handshake took a `HelloRetryRequest`, Schannel does
    /// not tell.
    #[must_use]
    pub const fn handshake_kind(&self) -> Option<HandshakeKind> {
        Some(if self.resumed {
            HandshakeKind::Resumed
        } else {
            HandshakeKind::Full
        })
    }

    /// Of a server's connection: the server name that the client wants (SNI), if it says one.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Bytes of records that so many bytes of plaintext become at most; `None` before the handshake
    /// is complete.
    #[must_use]
    pub const fn sealed_room(&self, plaintext: usize) -> Option<usize> {
        limits::sealed_room(plaintext, self.header, self.trailer, self.maximum_message)
    }

    /// The protocol's name as OpenSSL and curl print it.
    #[must_use]
    pub const fn protocol_name(&self) -> &'static str {
        match self.protocol {
            0x0303 => "TLSv1.2",
            0x0304 => "TLSv1.3",
            _ => "unknown",
        }
    }

    /// The cipher suite's name in the IANA registry, for those that Schannel offers with TLS 1.2
    /// and TLS 1.3 by default and for ChaCha20-Poly1305.
    #[must_use]
    pub const fn cipher_suite_name(&self) -> &'static str {
        match self.cipher_suite {
            0x1301 => "TLS_AES_128_GCM_SHA256",
            0x1302 => "TLS_AES_256_GCM_SHA384",
            0x1303 => "TLS_CHACHA20_POLY1305_SHA256",
            0xC02B => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            0xC02C => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            0xC02F => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            0xC030 => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            0xC023 => "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
            0xC024 => "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
            0xC027 => "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
            0xC028 => "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
            0x009C => "TLS_RSA_WITH_AES_128_GCM_SHA256",
            0x009D => "TLS_RSA_WITH_AES_256_GCM_SHA384",
            0x009E => "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
            0x009F => "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
            0xCCA8 => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            0xCCA9 => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            _ => "unnamed",
        }
    }

    /// The key exchange's name, for the `ALG_ID`s that Microsoft's documentation of
    /// `SecPkgContext_ConnectionInfo` lists, and `CALG_ECDH_EPHEM`.
    #[must_use]
    pub const fn key_exchange_name(&self) -> &'static str {
        match self.key_exchange {
            0xA400 => "RSA",
            0xAA02 => "DHE",
            0xAE06 => "ECDHE",
            _ => "unnamed",
        }
    }

    /// The session's state in a word.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match u8::try_from(self.state) {
            Ok(state::NONE) => "none",
            Ok(state::HANDSHAKING) => "handshaking",
            Ok(state::ESTABLISHED) => "established",
            Ok(state::FAILED) => "failed",
            _ => "unknown",
        }
    }

    /// The application protocol as text.
    #[must_use]
    pub fn alpn_name(&self) -> String {
        match &self.alpn {
            Some(name) => String::from_utf8_lossy(name).into_owned(),
            None => "none".to_owned(),
        }
    }
}

/// The certificates behind a [`SessionReply`], when they are all there: each a 32-bit length and so
/// many bytes.
pub fn certificates(
    reply: &SessionReply,
    mut bytes: &[u8],
) -> Option<Vec<CertificateDer<'static>>> {
    let mut certificates = Vec::new();
    for _ in 0..reply.certificate_count {
        let (length, rest) = bytes.split_first_chunk()?;
        let (certificate, rest) = rest.split_at_checked(size(u32::from_le_bytes(*length)))?;
        certificates.push(certificate.to_vec().into());
        bytes = rest;
    }
    Some(certificates)
}

fn size(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    fn reply(count: u32) -> SessionReply {
        let mut reply = SessionReply::new_zeroed();
        reply.certificate_count = count;
        reply
    }

    #[test]
    fn certificates_come_apart_at_their_lengths_and_never_by_half() {
        let bytes = b"\x03\0\0\0abc\0\0\0\0\x01\0\0\0d";
        let expected = [&b"abc"[..], b"", b"d"].map(CertificateDer::from);
        assert_eq!(certificates(&reply(3), bytes), Some(expected.to_vec()));
        for cut in 0..bytes.len() {
            assert_eq!(certificates(&reply(3), &bytes[..cut]), None, "{cut}");
        }
        assert_eq!(certificates(&reply(0), b""), Some(Vec::new()));
    }

    #[test]
    fn a_result_that_does_not_say_checked_is_none() {
        let mut reply = reply(0);
        reply.check_result = SecurityStatus::CERT_E_UNTRUSTEDROOT.0;
        assert_eq!(Connection::new(&reply, Vec::new()).check, None);
        reply.flags = session_flags::CHECKED;
        let check = Connection::new(&reply, Vec::new()).check.unwrap();
        assert!(!check.is_good());
        reply.check_result = 0;
        assert!(Connection::new(&reply, Vec::new()).check.unwrap().is_good());
        reply.chain_errors = 0x20;
        assert!(!Connection::new(&reply, Vec::new()).check.unwrap().is_good());
    }
}
