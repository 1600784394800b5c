//! `tlsgate doctor`: what the driver says about itself, and what to do when it does not answer.

use crate::service;
use anyhow::{Context, Result};
use tlsgate_client::{
    Device,
    protocol::{
        ABI_VERSION,
        payload::{StatisticsReply, VersionReply, exports},
    },
};

/// Prints what is found; fails when the driver does not answer.
pub async fn run() -> Result<()> {
    println!("service: {}", service::state()?);
    let driver = Device::open().map(|device| device.driver())?;
    print_version(
        &driver
            .version()
            .await
            .context("the device opens, but does not answer")?,
    );
    print_statistics(&driver.statistics().await?);
    Ok(())
}

fn print_version(version: &VersionReply) {
    println!(
        "driver: TlsGate {}.{}.{}, ABI version {}",
        version.major, version.minor, version.patch, version.head.version
    );
    if version.head.version != ABI_VERSION {
        println!("  this program speaks ABI version {ABI_VERSION}: run `tlsgate install` again");
    }
    println!("limits:");
    println!("  bytes of TLS stream a leg    {}", version.largest_input);
    println!("  bytes of a leg's reply       {}", version.largest_reply);
    println!("  bytes of a SEAL or UNSEAL    {}", version.largest_records);
    println!("optional functions of ksecdd.sys:");
    let present = version.optional_exports & exports::REQUIRES_NOTIFY != 0;
    println!(
        "  SspiAsyncContextRequiresNotify  {}",
        if present {
            "present"
        } else {
            "absent; the driver does without"
        }
    );
}

fn print_statistics(now: &StatisticsReply) {
    println!("now:");
    for (name, value) in [
        ("sessions", now.sessions_live),
        ("credentials", now.credentials_live),
        ("operations waiting", now.waiting_live),
        ("operations inside ksecdd", now.in_flight_live),
        ("of them given up by callers", now.orphans_live),
        ("async contexts", now.async_contexts_live),
        ("of them quarantined", now.quarantined_live),
        ("driver threads", now.threads_live),
    ] {
        println!("  {name:<28} {value}");
    }
    println!("since the driver was loaded:");
    for (name, value) in [
        ("sessions made", now.sessions_made),
        ("handshakes completed", now.handshakes),
        ("sessions failed", now.sessions_failed),
        ("requests cancelled", now.cancelled),
        ("refused by a quota", now.quota_refusals),
    ] {
        println!("  {name:<28} {value}");
    }
    println!("observed of ksecdd.sys:");
    for (name, value) in [
        ("calls", now.calls),
        ("completed inline", now.completed_inline),
        ("completed before the return", now.completed_early),
        ("completed after the return", now.completed_late),
        ("calls it refused", now.calls_refused),
        ("callbacks out of turn", now.stray_callbacks),
        ("Reinit refused", now.reinit_refused),
        ("highest callback IRQL", now.highest_callback_irql),
    ] {
        println!("  {name:<28} {value}");
    }
}
