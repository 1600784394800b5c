//! Running the probe beside the driver.

use anyhow::Result;
use std::time::Duration;
use tlsgate_e2e::Lab;
use tlsgate_lab_machine::Parameter;

/// The probe, on the machine.
pub const PROBE: &str = r"C:\lab\probe.exe";

/// Longer than the probe gives itself.
const LIMIT: Duration = Duration::from_mins(2);

/// A machine with the driver running.
pub fn lab() -> Result<Lab> {
    Lab::start(&mut |_| {})
}

/// The service, whose Parameters key the driver reads when it is started.
const SERVICE: &str = "TlsGate";

/// A machine with the driver running under these values of its Parameters key.
pub fn lab_with(parameters: &[(&str, Parameter)]) -> Result<Lab> {
    let lab = lab()?;
    restart_with(&lab, parameters)?;
    Ok(lab)
}

/// Installs the driver anew, with these values of its Parameters key.
pub fn restart_with(lab: &Lab, parameters: &[(&str, Parameter)]) -> Result<()> {
    lab.uninstall()?;
    for (name, value) in parameters {
        lab.machine().set_parameter(SERVICE, name, *value)?;
    }
    let installed = lab.install();
    // They have been read; another test is not to find them, whatever becomes of this one.
    lab.machine().clear_parameters(SERVICE)?;
    installed
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
