//! How the kernel SSPI stand-in behaves in a benchmark, and what it has counted: by its exports for the lab.

use crate::sspi;
use anyhow::{Context, Result};
use std::mem::transmute;
use tlsgate_bench::Engine;
use windows_sys::s;

/// `LabEngine` of `ksecdd.sys`: 0 inline, 1 a pool of so many workers and so many microseconds a call, 2 held.
type Set = unsafe extern "system" fn(kind: u32, workers: u32, microseconds: u64);
/// `LabAsyncContexts` of `ksecdd.sys`: those created so far.
type Created = unsafe extern "system" fn() -> u64;

/// Has it behave so from now on.
///
/// # Errors
///
/// It is not there, or not built for measuring.
pub fn set(engine: Engine) -> Result<()> {
    let (kind, workers, latency) = match engine {
        Engine::Inline => (0, 1, 0),
        Engine::Pool { workers, latency } => (
            1,
            u32::try_from(workers)?,
            u64::try_from(latency.as_micros())?,
        ),
        Engine::Held => (2, 1, 0),
    };
    let set = sspi::export(s!("LabEngine")).context("ksecdd.sys is not built for measuring")?;
    // SAFETY: the stand-in exports this function with this signature.
    let set = unsafe { transmute::<sspi::Export, Set>(set) };
    // SAFETY: takes numbers.
    unsafe { set(kind, workers, latency) };
    Ok(())
}

/// Async contexts created so far.
pub fn async_contexts_created() -> u64 {
    let Some(created) = sspi::export(s!("LabAsyncContexts")) else {
        return 0;
    };
    // SAFETY: the stand-in exports this function with this signature.
    let created = unsafe { transmute::<sspi::Export, Created>(created) };
    // SAFETY: takes nothing.
    unsafe { created() }
}
