//! The cases by name. The order is that of a run: what everything rests on comes first.

mod certificates;
mod contract;
mod data;
mod endings;
mod handshake;
mod life;
mod load;
mod trust;

pub use life::is_back;

use super::{peer::Version, site::Site};
use anyhow::Result;
use std::pin::Pin;

/// A case on its way; what it gives is a remark for the report, which may be empty.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<String>> + Send + 'a>>;

/// One thing that the driver must do.
pub struct Case {
    /// On the command line, in the report, and in the table of `tests/taef`.
    pub name: &'static str,
    /// What is seen when it passes.
    pub about: &'static str,
    /// Does it.
    pub run: for<'a> fn(&'a Site) -> Running<'a>,
}

macro_rules! cases {
    ($($name:literal, $about:literal, $site:ident => $run:expr;)+) => {
        /// All of them.
        pub const ALL: &[Case] = &[$(Case {
            name: $name,
            about: $about,
            run: |$site| Box::pin($run),
        },)+];
    };
}

cases! {
    "version", "version and limits are those of this program", site => contract::version(site);
    "server-tls13", "a TLS 1.3 client is served", site => handshake::as_server(site, Version::Tls13);
    "server-tls12", "a TLS 1.2 client is served", site => handshake::as_server(site, Version::Tls12);
    "client-tls13", "a TLS 1.3 server is talked to", site => handshake::as_client(site, Version::Tls13);
    "client-tls12", "a TLS 1.2 server is talked to", site => handshake::as_client(site, Version::Tls12);
    "alpn", "both sides agree on an application protocol", site => handshake::alpn(site);
    "no-common-alpn", "without a common application protocol there is an alert",
        site => handshake::no_common_alpn(site);
    "mutual-server", "a client's certificate is asked for, checked and told",
        site => trust::clients_are_known(site);
    "mutual-server-none", "a client without a certificate is refused where one is demanded",
        site => trust::no_client_certificate(site);
    "mutual-server-stranger", "a client whose authority nobody trusts is refused",
        site => trust::strange_client(site);
    "mutual-client", "a client's certificate is shown to a server that demands one",
        site => trust::shows_its_certificate(site);
    "manual-check", "a certificate passes where the caller judges, and is told",
        site => trust::manual_check(site);
    "wrong-name", "a server with a certificate for another name is refused",
        site => trust::wrong_name(site);
    "untrusted-root", "a server whose authority nobody trusts is refused",
        site => trust::untrusted_root(site);
    "several-certificates", "each client gets the certificate that fits the name it wants",
        site => certificates::several(site);
    "replaced-credential", "a credential is replaced under an open connection",
        site => certificates::replaced(site);
    "server-resumes-tls13", "a TLS 1.3 session is resumed by a client",
        site => certificates::server_resumes(site, Version::Tls13);
    "server-resumes-tls12", "a TLS 1.2 session is resumed by a client",
        site => certificates::server_resumes(site, Version::Tls12);
    "client-resumes-tls13", "a TLS 1.3 session is resumed with a server",
        site => certificates::client_resumes(site, Version::Tls13);
    "client-resumes-tls12", "a TLS 1.2 session is resumed with a server",
        site => certificates::client_resumes(site, Version::Tls12);
    "data-server", "1 MiB each way at once, as a server", site => data::much_as_server(site);
    "data-client", "1 MiB each way at once, as a client", site => data::much_as_client(site);
    "byte-by-byte", "handshakes and data that come a byte at a time", site => data::byte_by_byte(site);
    "key-update", "the peer changes its keys and has the driver change its own",
        site => data::key_update(site);
    "peer-ends", "the peer's close_notify is told from a connection that was cut off",
        site => endings::peer_ends(site);
    "driver-ends", "the peer hears the driver's close_notify", site => endings::driver_ends(site);
    "garbage", "what is no TLS gets an alert or a close", site => endings::garbage(site);
    "cancelled", "legs that are cancelled leave nothing", site => life::cancelled(site);
    "closed-handle", "a handle is closed with everything open on it", site => life::closed_handle(site);
    "handshake-timeout", "a handshake that takes too long is given up", site => life::timed_out(site);
    "misuse", "each misuse is refused with the NTSTATUS of the contract", site => contract::misuse(site);
    "busy", "a second leg of a session is refused while one is on its way",
        site => contract::busy(site);
    "many-at-once", "64 connections at the same time", site => load::many_at_once(site);
    "many-in-sequence", "500 handshakes one after another, and nothing grows",
        site => load::many_in_sequence(site);
    "counts", "what the driver counts adds up, and ksecdd keeps to the contract",
        site => load::counts(site);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, env, fs};

    #[test]
    fn names_are_one_word_and_no_two_are_the_same() {
        let names: BTreeSet<&str> = ALL.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), ALL.len());
        for name in names {
            let is_word =
                |byte: u8| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
            assert!(!name.is_empty() && name.bytes().all(is_word), "{name}");
        }
    }

    /// As TAEF wants it (its documentation, "Table Data Source"); the row's name is what it shows.
    fn taef_table() -> String {
        let rows: Vec<String> = ALL
            .iter()
            .map(|Case { name, about, .. }| {
                format!(
                    "    <Row Name=\"{name}\" Description=\"{about}\">\n      \
                     <Parameter Name=\"Case\">{name}</Parameter>\n    </Row>\n"
                )
            })
            .collect();
        format!(
            "<?xml version=\"1.0\"?>\n<!-- Written by a test: see README.md. -->\n<Data>\n  \
             <Table Id=\"Cases\">\n    <ParameterTypes>\n      \
             <ParameterType Name=\"Case\">String</ParameterType>\n    </ParameterTypes>\n\
             {}  </Table>\n</Data>\n",
            rows.concat()
        )
    }

    /// With `BLESS` set it writes the file instead.
    #[test]
    fn the_table_for_taef_has_every_case() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../taef/Selftest.xml");
        for case in ALL {
            let special = ['<', '>', '&', '"'];
            assert!(
                !case.about.contains(special),
                "{} would need escaping",
                case.name
            );
        }
        if env::var_os("BLESS").is_some() {
            fs::write(file, taef_table()).unwrap();
        }
        let written = fs::read_to_string(file).unwrap();
        assert!(
            written == taef_table(),
            "tests/taef/Selftest.xml does not have these cases; BLESS=1 writes it"
        );
    }
}
