//! How much of its stack the driver uses.

use crate::probe::{lab, probe};
use anyhow::{Context, Result, ensure};
use std::fs;
use tlsgate_lab_control::kmdf;
use tlsgate_lab_machine::Layout;

/// Bytes that an entry into the driver may use: the stand-in stops it above.
const MOST: usize = 6 << 10;

/// Every way into the driver but its unload, after which nobody can be asked.
const ENTRIES: [&str; 8] = [
    "DriverEntry",
    "EvtDeviceFileCreate",
    "EvtFileCleanup",
    "EvtIoDeviceControl",
    "EvtIoInCallerContext",
    "EvtRequestCancel",
    "SspiAsyncNotifyCallback",
    "system thread",
];

#[test]
fn every_entry_into_the_driver_keeps_within_its_stack() -> Result<()> {
    let lab = lab()?;
    for scenario in ["cancel-held", "records", "refusals", "replies", "states"] {
        probe(&lab, &[scenario])?;
    }
    let stack = kmdf::report(&mut lab.machine().remote(kmdf::MODULE)?)?.stack;
    for entry in ENTRIES {
        let used = *stack
            .get(entry)
            .with_context(|| format!("{entry} was not called"))?;
        println!("{entry}: {used} bytes");
        ensure!(used > 0 && used <= MOST, "{entry} used {used} bytes");
    }
    // For `cargo xtask rules`, and `test`.
    let file = Layout::of_workspace().prefix.with_file_name("stack.json");
    fs::write(&file, serde_json::to_vec_pretty(&stack)?)
        .with_context(|| format!("writing {}", file.display()))?;
    lab.finish()
}
