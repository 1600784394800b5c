//! `tlsgate doctor`: what the driver says about itself, and what to do when it does not answer.

use crate::{histogram::histogram, service};
use anyhow::{Context, Result};
use tlsgate::{
    Device,
    protocol::{
        ABI_VERSION,
        payload::{StatisticsReply, VersionReply, exports, functions},
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
    println!(
        "  milliseconds of a handshake  {}",
        version.default_timeout_ms
    );
    println!(
        "  and at most                  {}",
        version.longest_timeout_ms
    );
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
    let off: Vec<&str> = FUNCTIONS
        .iter()
        .filter(|(bit, _)| version.switched_off & bit != 0)
        .map(|(_, name)| *name)
        .collect();
    if !off.is_empty() {
        println!(
            "switched off in the service's Parameters: {}",
            off.join(", ")
        );
    }
}

/// What an administrator can switch off.
const FUNCTIONS: [(u32, &str); 6] = [
    (functions::ACQUIRE, "ACQUIRE_CREDENTIAL"),
    (functions::ACCEPT, "ACCEPT"),
    (functions::CONNECT, "CONNECT"),
    (functions::RECORDS, "SEAL and UNSEAL"),
    (functions::SHUTDOWN, "SHUTDOWN"),
    (functions::QUERY, "QUERY_SESSION"),
];

fn print_statistics(now: &StatisticsReply) {
    print_group(
        "now",
        &[
            ("sessions", now.sessions_live),
            ("credentials", now.credentials_live),
            ("operations waiting", now.waiting_live),
            ("operations inside ksecdd", now.in_flight_live),
            ("of them given up by callers", now.orphans_live),
            ("async contexts", now.async_contexts_live),
            ("of them quarantined", now.quarantined_live),
            ("driver threads", now.threads_live),
        ],
    );
    print_group(
        "since the driver was loaded",
        &[
            ("sessions made", now.sessions_made),
            ("handshakes completed", now.handshakes),
            ("sessions failed", now.sessions_failed),
            ("credentials replaced", now.credentials_replaced),
            ("requests cancelled", now.cancelled),
            ("requests timed out", now.timed_out),
            ("of them inside ksecdd", now.timed_out_inside),
            ("refused by a quota", now.quota_refusals),
            ("refused by the rate limit", now.rate_refusals),
            ("refused as switched off", now.switched_off_refusals),
            ("settings ignored", now.settings_ignored),
        ],
    );
    print_group(
        "observed of ksecdd.sys",
        &[
            ("calls", now.calls),
            ("completed inline", now.completed_inline),
            ("completed before the return", now.completed_early),
            ("completed after the return", now.completed_late),
            ("calls it refused", now.calls_refused),
            ("callbacks out of turn", now.stray_callbacks),
            ("callbacks that never came", now.callbacks_lost),
            ("slow calls", now.slow_calls),
            ("Reinit refused", now.reinit_refused),
            ("highest callback IRQL", now.highest_callback_irql),
        ],
    );
    println!("calls of the handshake functions by how long they took:");
    for row in histogram(&now.leg_latency) {
        println!("  {row}");
    }
    if now.settings_ignored > 0 {
        println!(
            "settings were ignored: they are out of range, or not numbers; \
             the event \"SettingIgnored\" of the provider TlsGate names each"
        );
    }
}

fn print_group(title: &str, rows: &[(&str, u64)]) {
    println!("{title}:");
    for (name, value) in rows {
        println!("  {name:<28} {value}");
    }
}
