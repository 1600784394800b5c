//! What a handshake negotiated, as a program or a person wants to know it.

use tlsgate_protocol::payload::{SessionReply, state};

/// What was negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The TLS version on the wire: 0x0303 or 0x0304.
    pub protocol: u32,
    /// IANA number of the cipher suite.
    pub cipher_suite: u32,
    /// The application protocol, if one was negotiated.
    pub alpn: Option<Vec<u8>>,
    /// [`state`] of the session.
    pub state: u32,
    /// Most bytes of data in a record.
    pub maximum_message: usize,
}

impl From<&SessionReply> for Connection {
    fn from(reply: &SessionReply) -> Self {
        let length = usize::try_from(reply.alpn_length).unwrap_or(usize::MAX);
        Self {
            protocol: reply.protocol,
            cipher_suite: reply.cipher_suite,
            alpn: reply
                .alpn
                .get(..length)
                .filter(|name| !name.is_empty())
                .map(<[u8]>::to_vec),
            state: reply.state,
            maximum_message: usize::try_from(reply.maximum_message).unwrap_or(usize::MAX),
        }
    }
}

impl Connection {
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
