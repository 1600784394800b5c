//! What the driver gives away: bytes of replies, and memory that it frees.

use crate::probe::{PROBE, lab, probe};
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tlsgate_lab_control::{kmdf, ksecdd::Completion};
use tlsgate_lab_machine::wait_until;

/// How long what must happen may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Legs that the probe leaves inside ksecdd.
const LEFT: usize = 3;

#[test]
fn replies_hold_what_was_written_and_no_address() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["replies"])?;
    lab.finish()
}

#[test]
fn tokens_and_plaintext_are_gone_from_freed_memory() -> Result<()> {
    let lab = lab()?;
    probe(&lab, &["residue"])?;

    // A program is killed; then the driver is stopped.
    let arguments = ["--thumbprint", lab.thumbprint(), "leave-tokens"];
    let leaving = lab.machine().spawn(PROBE, &arguments)?;
    let tokens: Vec<Vec<u8>> = (0..LEFT)
        .map(|_| bytes(&leaving.line_after("token ")?))
        .collect::<Result<_>>()?;
    leaving.line_after("held")?;
    let mut framework = lab.machine().remote(kmdf::MODULE)?;
    for token in &tokens {
        let now = kmdf::search(&mut framework, token)?;
        ensure!(now.live > 0 && now.buffers == 1, "a held token: {now:?}");
    }
    leaving.kill()?;
    wait_until("the program's handles to go", PATIENCE, || {
        Ok((kmdf::report(&mut framework)?.files == 0).then_some(()))
    })?;
    lab.complete(Completion::Late)?;
    lab.release(None)?;
    // Async contexts of calls that were refused before are in quarantine.
    wait_until("the program's calls and credential to go", PATIENCE, || {
        let now = lab.ksecdd()?;
        Ok((now.in_flight + now.contexts + now.credentials == 0).then_some(()))
    })?;
    for token in &tokens {
        let now = kmdf::search(&mut framework, token)?;
        ensure!(
            now.live + now.buffers + now.freed + now.completed + now.forgotten == 0,
            "a killed program's token: {now:?}"
        );
    }
    drop(framework);
    lab.finish()
}

/// What hexadecimal digits say.
fn bytes(hex: &str) -> Result<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| {
            let pair = str::from_utf8(pair)?;
            u8::from_str_radix(pair, 16).with_context(|| format!("not hexadecimal: {hex}"))
        })
        .collect()
}
