//! A certificate in words: whose it is, who says so, and for how long.

use crate::show::harmless;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tlsgate::Thumbprint;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

/// What people and scripts want to know of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Described {
    /// SHA-1 of its DER, 40 hexadecimal digits.
    pub thumbprint: String,
    /// The subject's distinguished name.
    pub subject: String,
    /// The issuer's.
    pub issuer: String,
    /// DNS names and IP addresses that it is for.
    pub names: Vec<String>,
    /// The first second that it is valid, as RFC 3339 writes it, in UTC.
    pub not_before: String,
    /// The last one.
    pub not_after: String,
    /// Whether it is valid now.
    pub valid_now: bool,
}

impl Described {
    /// The certificate of this DER. Only the thumbprint is told of what is none.
    pub fn of(der: &[u8]) -> Self {
        let mut described = Self {
            thumbprint: Thumbprint::of(der).to_string(),
            subject: "not a certificate".to_owned(),
            issuer: String::new(),
            names: Vec::new(),
            not_before: String::new(),
            not_after: String::new(),
            valid_now: false,
        };
        if let Ok((_, certificate)) = X509Certificate::from_der(der) {
            described.read(&certificate);
        }
        described
    }

    fn read(&mut self, certificate: &X509Certificate) {
        let validity = certificate.validity();
        self.subject = harmless(&certificate.subject().to_string());
        self.issuer = harmless(&certificate.issuer().to_string());
        self.not_before = time(validity.not_before.to_datetime());
        self.not_after = time(validity.not_after.to_datetime());
        self.valid_now = validity.is_valid();
        // One that cannot be read has no names that anybody could go by.
        if let Ok(Some(names)) = certificate.subject_alternative_name() {
            self.names = names.value.general_names.iter().filter_map(name).collect();
        }
    }

    /// The day it ends, or began to.
    pub fn last_day(&self) -> &str {
        self.not_after.split('T').next().unwrap_or_default()
    }
}

fn time(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(harmless(name)),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    let sixteen = || <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from);
    Some(four.or_else(|_| sixteen()).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{certificate::make::self_signed, cli};

    #[test]
    fn what_was_asked_for_is_told() {
        let made = self_signed(&cli::NewCert {
            name: "example.test".into(),
            dns: vec!["other.test".into()],
            ip: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            days: 3,
            exportable: false,
            client: false,
        })
        .unwrap();
        let described = Described::of(&made.der);
        assert_eq!(described.thumbprint, made.thumbprint.to_string());
        assert_eq!(described.subject, "CN=example.test");
        assert_eq!(described.issuer, "CN=example.test");
        let names = ["example.test", "other.test", "192.0.2.1", "2001:db8::1"];
        assert_eq!(described.names, names);
        assert!(described.valid_now);
        let ends = OffsetDateTime::parse(&described.not_after, &Rfc3339).unwrap();
        let left = ends - OffsetDateTime::now_utc();
        assert!((2..=3).contains(&left.whole_days()), "{described:?}");
        assert_eq!(described.last_day().len(), "2026-01-01".len());
    }

    #[test]
    fn what_is_no_certificate_is_no_panic() {
        let described = Described::of(b"abc");
        assert_eq!(described.subject, "not a certificate");
        assert!(!described.valid_now);
    }
}
