//! Handshakes as every client makes them: each flight in one write.

use crate::{
    client::{Client, VERSIONS, is_the_lab_s, says_the_same},
    flights::whole,
    page,
    site::each_completion,
};
use anyhow::{Result, ensure};

#[test]
fn the_page_says_what_openssl_says() -> Result<()> {
    each_completion(
        "handshake in one write",
        &["--alpn", "h2,http/1.1"],
        |site| {
            for version in VERSIONS {
                for (offer, choice) in [
                    (&[][..], None),
                    (&["http/1.1"], Some("http/1.1")),
                    (&["http/1.1", "h2"], Some("h2")),
                ] {
                    let client = Client::with_alpn(version, offer)?;
                    let mut stream = client.connect(site.socket()?, whole)?;
                    let page = page::get(&mut stream)?;
                    ensure!(stream.ssl().version2() == Some(version), "another version");
                    let chosen = stream.ssl().selected_alpn_protocol();
                    ensure!(
                        chosen == choice.map(str::as_bytes),
                        "ALPN {chosen:?} of {offer:?}"
                    );
                    says_the_same(&page, &stream)?;
                    is_the_lab_s(&stream, site.lab)?;
                }
            }
            Ok(())
        },
    )
}

#[test]
fn no_common_application_protocol_is_an_alert() -> Result<()> {
    each_completion("no common ALPN", &["--alpn", "h2"], |site| {
        let before = site.idle()?;
        for version in VERSIONS {
            let client = Client::with_alpn(version, &["http/1.1"])?;
            let Err(error) = client.plainly(site.socket()?) else {
                anyhow::bail!("a handshake without a common protocol");
            };
            let error = format!("{error:#}");
            ensure!(error.contains("no application protocol"), "{error}");
        }
        site.settles(&before)
    })
}
