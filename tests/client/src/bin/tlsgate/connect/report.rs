//! What a client tells of a connection: with whom, and what was negotiated.

use crate::{
    certificate::Described,
    page,
    show::{BAD, GOOD, HEADING, styled},
};
use serde::Serialize;
use std::net::SocketAddr;
use tlsgate::{Connection, describe_security_status};

/// One connection; `--json` prints it as it is.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The server, as the command line names it.
    server: String,
    /// Its address.
    address: SocketAddr,
    /// The TLS version, as OpenSSL writes it.
    protocol: &'static str,
    /// The cipher suite's IANA name.
    cipher_suite: &'static str,
    /// Its IANA number.
    cipher_suite_number: u32,
    /// The key exchange.
    key_exchange: &'static str,
    /// Its strength.
    key_exchange_bits: u32,
    /// The application protocol, if one was negotiated.
    alpn: Option<String>,
    /// Whether a session was resumed: then no certificate was sent this time.
    resumed: bool,
    /// What checking the server's certificates gave; `None` where nobody can tell.
    check: Option<Check>,
    /// The server's certificates, its own first.
    chain: Vec<Described>,
}

/// What checking the server's certificates gave.
#[derive(Debug, Serialize)]
struct Check {
    good: bool,
    /// The outcome, an `HRESULT`, by name.
    result: String,
    /// `CERT_TRUST_*` error bits.
    chain_errors: u32,
}

impl Report {
    /// What is known of this connection.
    pub fn new(server: &str, address: SocketAddr, connection: &Connection) -> Self {
        Self {
            server: server.to_owned(),
            address,
            protocol: connection.protocol_name(),
            cipher_suite: connection.cipher_suite_name(),
            cipher_suite_number: connection.cipher_suite,
            key_exchange: connection.key_exchange_name(),
            key_exchange_bits: connection.key_exchange_bits,
            alpn: connection.alpn.as_ref().map(|_| connection.alpn_name()),
            resumed: connection.resumed,
            check: connection.check.map(|check| Check {
                good: check.is_good(),
                result: describe_security_status(check.result),
                chain_errors: check.chain_errors,
            }),
            chain: connection
                .certificates
                .iter()
                .map(|der| Described::of(der))
                .collect(),
        }
    }

    /// For a person, with styles; each line has its end.
    pub fn text(&self, connection: &Connection) -> String {
        let to = format!("{} ({})", self.server, self.address);
        let mut parts = vec![format!("{} {to}\n", styled(GOOD, "connected to"))];
        if !self.chain.is_empty() {
            parts.push(format!("{}:\n", styled(HEADING, "certificate chain")));
        }
        parts.extend(self.chain.iter().enumerate().map(certificate));
        parts.push(format!("{}:\n", styled(HEADING, "session")));
        parts.push(page::rows(&page::negotiated(connection)));
        parts.concat()
    }
}

fn certificate((number, one): (usize, &Described)) -> String {
    let validity = if one.valid_now {
        String::new()
    } else {
        styled(BAD, "  not valid now")
    };
    format!(
        " {number:>2} subject     {}\n    issuer      {}\n    names       {}\n    \
         valid       {} to {}{validity}\n    thumbprint  {}\n",
        one.subject,
        one.issuer,
        one.names.join(", "),
        one.not_before,
        one.not_after,
        one.thumbprint
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlsgate::protocol::SecurityStatus;

    #[test]
    fn the_chain_and_what_is_wrong_with_it_are_told() {
        let connection = Connection {
            protocol: 0x0303,
            cipher_suite: 0xC02F,
            certificates: vec![b"abc".to_vec().into()],
            check: Some(tlsgate::Check {
                chain_errors: 0x20,
                result: SecurityStatus::CERT_E_UNTRUSTEDROOT,
            }),
            ..Connection::default()
        };
        let address = "192.0.2.1:443".parse().unwrap();
        let report = Report::new("example.test:443", address, &connection);
        let text = anstream::adapter::strip_str(&report.text(&connection)).to_string();
        for part in [
            "connected to example.test:443 (192.0.2.1:443)\n",
            "  0 subject     not a certificate\n",
            "    thumbprint  A9993E364706816ABA3E25717850C26C9CD0D89D\n",
            "CERT_E_UNTRUSTEDROOT",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["check"]["good"], false);
        assert_eq!(json["alpn"], serde_json::Value::Null);
        assert_eq!(json["protocol"], "TLSv1.2");
    }
}
