//! The page that describes the connection it came over.

use tlsgate_client::{Connection, protocol::payload::VersionReply};

/// What the page tells, a name and a value each.
pub fn facts(connection: &Connection, driver: &VersionReply) -> Vec<(&'static str, String)> {
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
        ("application protocol", connection.alpn_name()),
        ("session", connection.state_name().to_owned()),
        (
            "driver",
            format!("TlsGate {}.{}.{}", driver.major, driver.minor, driver.patch),
        ),
    ]
}

/// The page for terminals.
pub fn plain(facts: &[(&str, String)]) -> String {
    let rows = facts
        .iter()
        .map(|(name, value)| format!("{name:>20}  {value}\n"));
    ["This page came over a TLS connection made in the Windows kernel.\n\n".to_owned()]
        .into_iter()
        .chain(rows)
        .collect()
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

    fn example(alpn: &[u8]) -> Vec<(&'static str, String)> {
        let connection = Connection {
            protocol: 0x0304,
            cipher_suite: 0x1302,
            alpn: Some(alpn.to_vec()),
            state: 2,
            ..Connection::default()
        };
        let mut driver = VersionReply::new_zeroed();
        (driver.major, driver.minor, driver.patch) = (1, 2, 3);
        facts(&connection, &driver)
    }

    #[test]
    fn the_plain_page_tells_everything() {
        let page = plain(&example(b"http/1.1"));
        for part in [
            "TLSv1.3",
            "TLS_AES_256_GCM_SHA384 (0x1302)",
            "http/1.1",
            "established",
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
