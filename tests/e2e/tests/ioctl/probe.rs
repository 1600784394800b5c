//! Running the probe beside the driver.

use anyhow::Result;
use std::time::Duration;
use tlsgate_e2e::Lab;

/// The probe, on the machine.
pub const PROBE: &str = r"C:\lab\probe.exe";

/// Longer than the probe gives itself.
const LIMIT: Duration = Duration::from_mins(2);

/// A machine with the driver running.
pub fn lab() -> Result<Lab> {
    Lab::start(&mut |_| {})
}

/// Runs a scenario of the probe, which must succeed; gives what it said.
pub fn probe(lab: &Lab, scenario: &[&str]) -> Result<String> {
    let mut arguments = vec!["--thumbprint", lab.thumbprint()];
    arguments.extend(scenario);
    let output = lab.machine().run_for(LIMIT, PROBE, &arguments)?;
    // A broken rule explains what the probe may have to say.
    if let Err(stop) = lab.machine().check() {
        return Err(stop.context(format!("{}{}", output.stdout, output.stderr)));
    }
    let said = output.success()?.stdout;
    print!("{said}");
    Ok(said)
}
