//! The end of a connection: close_notify, and a Windows that cannot say it.

use crate::{
    client::{Client, VERSIONS},
    flights::whole,
    page,
    site::{Site, each_completion},
};
use anyhow::{Context, Result, ensure};
use openssl::ssl::{ErrorCode, SslVersion};

#[test]
fn the_server_says_close_notify() -> Result<()> {
    each_completion("close_notify", &[], |site| {
        for version in VERSIONS {
            ensure!(ends_clean(site, version)?, "{version:?}: no close_notify");
        }
        Ok(())
    })
}

/// Whether the route taken works on Windows is not documented: a refusal must do no harm.
#[test]
fn without_close_notify_the_connection_ends_all_the_same() -> Result<()> {
    each_completion("no close_notify", &[], |site| {
        site.lab
            .switch(|switches| switches.out_of_band_alert = false)?;
        for version in VERSIONS {
            ensure!(
                !ends_clean(site, version)?,
                "{version:?}: close_notify from nowhere"
            );
        }
        site.lab
            .switch(|switches| switches.out_of_band_alert = true)?;
        ensure!(
            ends_clean(site, SslVersion::TLS1_3)?,
            "the next connection suffers"
        );
        Ok(())
    })
}

/// Gets the page, has the server close, and tells whether OpenSSL calls that a clean end.
fn ends_clean(site: &Site, version: SslVersion) -> Result<bool> {
    let mut stream = Client::new(version)?.connect(site.socket()?, whole)?;
    page::get_with(&mut stream, "Connection: close\r\n").with_context(|| format!("{version:?}"))?;
    let Err(error) = stream.ssl_read(&mut [0; 1]) else {
        anyhow::bail!("there is more than the page");
    };
    Ok(error.code() == ErrorCode::ZERO_RETURN)
}
