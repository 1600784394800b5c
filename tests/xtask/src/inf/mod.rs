//! Stamps the INF, as the WDK's stampinf does on Windows, and holds it against Microsoft's rules.

mod file;
mod rules;
#[cfg(test)]
mod rules_tests;
mod version;

use anyhow::{Result, bail};

/// The INF of the template, for x64.
///
/// # Errors
///
/// It breaks a rule.
pub fn made_of(template: &str) -> Result<String> {
    let inf = stamp(template);
    let faults = rules::faults(&inf);
    if !faults.is_empty() {
        bail!("tlsgate.inf must not ship:\n  {}", faults.join("\n  "));
    }
    Ok(inf)
}

/// Fills the template's variables in.
fn stamp(template: &str) -> String {
    template.replace("$ARCH$", "amd64")
}
