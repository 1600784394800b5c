//! `tlsgate trace`: what it says where there is no event tracing. That it traces is not proven here.

use crate::command::run;
use anyhow::{Result, ensure};
use tlsgate_e2e::Lab;

/// It ends at once and says what to do.
pub fn cannot(lab: &Lab) -> Result<()> {
    for arguments in [&["trace"][..], &["trace", "--json"]] {
        let output = run(lab, arguments)?;
        ensure!(output.code == Some(1), "{output:?}");
        let told = "Wine has no event tracing, run it on Windows";
        ensure!(
            output.stderr.contains(told) && output.stdout.is_empty(),
            "{output:?}"
        );
    }
    Ok(())
}
