//! What a long run found, for `cargo xtask` to make `target/reports/NAME.json` of.

use std::{env, fs};

use anyhow::{Context, Result};
use serde::Serialize;

/// Names the file that gets the result, if anybody wants it.
const VARIABLE: &str = "TLSGATE_REPORT";

/// Gives the result: an object with `tried`, `failed`, and what else there is to tell. Later results take the
/// place of earlier ones, so that a run that is broken off has told what it knew.
///
/// # Errors
///
/// It cannot be written.
pub fn give(body: &impl Serialize) -> Result<()> {
    let Some(file) = env::var_os(VARIABLE) else {
        return Ok(());
    };
    fs::write(&file, serde_json::to_vec_pretty(body)?)
        .with_context(|| format!("writing {}", file.display()))
}
