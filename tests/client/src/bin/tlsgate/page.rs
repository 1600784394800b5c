//! The page that describes the connection it came over.

use tlsgate::{Connection, Thumbprint, describe_security_status, protocol::payload::VersionReply};

/// What a program can tell of a connection, a name and a value each.
pub type Facts = Vec<(&'static str, String)>;

/// What was negotiated, and with whom.
pub fn negotiated(connection: &Connection) -> Facts {
    let yes_or_no = |yes| if yes { "yes" } else { "no" }.to_owned();
    vec![
        ("protocol", connection.protocol_name().to_owned()),
        (
            "cipher suite",
            format!(
                "{} (0x{:04X})",
                connection.cipher_suite_name(),
                connection.cipher_suite
            ),
        ),
        (
            "key exchange",
            format!(
                "{} (0x{:04X}), {} bits",
                connection.key_exchange_name(),
                connection.key_exchange,
                connection.key_exchange_bits
            ),
        ),
        ("application protocol", connection.alpn_name()),
        ("resumed", yes_or_no(connection.resumed)),
        ("peer's certificates", certificates(connection)),
        ("their check", check(connection)),
        ("session", connection.state_name().to_owned()),
    ]
}

/// The driver that made the connection.
pub fn driver(version: &VersionReply) -> (&'static str, String) {
    let VersionReply {
        major,
        minor,
        patch,
        ..
    } = version;
    ("driver", format!("TlsGate {major}.{minor}.{patch}"))
}

/// The thumbprints, the peer's own first.
fn certificates(connection: &Connection) -> String {
    if connection.certificates.is_empty() {
        return "none".to_owned();
    }
    let thumbprints = connection.certificates.iter();
    let thumbprints: Vec<_> = thumbprints
        .map(|der| Thumbprint::of(der).to_string())
        .collect();
    thumbprints.join(" ")
}

fn check(connection: &Connection) -> String {
    match connection.check {
        None => "not checked".to_owned(),
        Some(check) if check.is_good() => "good".to_owned(),
        Some(check) => format!(
            "{}; chain errors 0x{:X}",
            describe_security_status(check.result),
            check.chain_errors
        ),
    }
}

/// The facts, a line each.
pub fn rows(facts: &[(&str, String)]) -> String {
    let rows = facts
        .iter()
        .map(|(name, value)| format!("{name:>20}  {value}\n"));
    rows.collect::<Vec<_>>().concat()
}

/// The page for terminals.
pub fn plain(facts: &[(&str, String)]) -> String {
    let title = "This page came over a TLS connection made in the Windows kernel.\n\n";
    title.to_owned() + &rows(facts)
}

/// The page for browsers.
pub fn html(facts: &[(&str, String)]) -> String {
    let row = |(name, value): &(&str, String)| {
        format!("<tr><th>{name}</th><td>{}</td></tr>\n", escape(value))
    };
    let rows: Vec<String> = facts.iter().map(row).collect();
    let rows = rows.concat();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>TlsGate</title>\n\
         <style>body{{font:1rem system-ui;margin:3rem}}th{{text-align:right;padding-right:1em}}\
         </style></head>\n<body><h1>TlsGate</h1>\n\
         <p>This page came over a TLS connection made in the Windows kernel.</p>\n\
         <table>\n{rows}</table></body></html>\n"
    )
}

/// The application protocol's name is the peer's choice among ours, but nothing is taken on trust.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    fn example(alpn: &[u8]) -> Facts {
        let connection = Connection {
            protocol: 0x0304,
            cipher_suite: 0x1302,
            alpn: Some(alpn.to_vec()),
            state: 2,
            certificates: vec![b"abc".to_vec().into()],
            ..Connection::default()
        };
        let mut version = VersionReply::new_zeroed();
        (version.major, version.minor, version.patch) = (1, 2, 3);
        let mut facts = negotiated(&connection);
        facts.push(driver(&version));
        facts
    }

    #[test]
    fn the_plain_page_tells_everything() {
        let page = plain(&example(b"http/1.1"));
        for part in [
            "TLSv1.3",
            "TLS_AES_256_GCM_SHA384 (0x1302)",
            "http/1.1",
            "established",
            "A9993E364706816ABA3E25717850C26C9CD0D89D",
            "not checked",
            "1.2.3",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
    }

    #[test]
    fn the_browser_page_is_markup_only_where_it_means_to_be() {
        let page = html(&example(b"<b>"));
        assert!(page.contains("<td>&lt;b&gt;</td>"), "{page}");
    }
}
