//! Booting: Wine's server, its service manager, and the drivers that Wine itself starts.

use super::{COMMAND_LIMIT, Machine};
use crate::{process::run, stops, wait::wait_until};
use anyhow::{Result, bail};
use std::{fs::File, process::Stdio};

/// How often a machine is booted before it is given up.
const BOOTS: usize = 3;

impl Machine {
    /// Boots; anew if Wine itself has crashed on the way. On a busy host, Wine 8's own `mountmgr.sys` now and
    /// then creates a device before it has a driver object for it (a page fault in `IoCreateDevice`). No driver
    /// under test is loaded yet.
    pub(super) fn boot(&self) -> Result<()> {
        for _ in 1..BOOTS {
            let before = self.console()?.len();
            self.boot_once()?;
            let console = self.console()?;
            let said = console.get(before..).unwrap_or(&console);
            if stops::in_log(said).is_empty() {
                return Ok(());
            }
            eprintln!("Wine has crashed while it started, and is started again:\n{said}");
            self.switch_off()?;
            File::options()
                .write(true)
                .open(self.log())?
                .set_len(u64::try_from(before)?)?;
        }
        self.boot_once()
    }

    /// Without `-p` the machine would go off some seconds after its last program. The first program
    /// starts the service manager, which hands its standard error on to the drivers.
    fn boot_once(&self) -> Result<()> {
        run(
            self.wine.server("-p"),
            Stdio::null(),
            COMMAND_LIMIT,
            &self.log(),
        )?
        .success()?;
        let log = File::options().append(true).create(true).open(self.log())?;
        let mut command = self.wine.program("cmd");
        command
            .args(["/c", "exit"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut child = command.spawn()?;
        let status = wait_until("the machine to boot", COMMAND_LIMIT, || {
            Ok(child.try_wait()?)
        });
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => bail!("the machine does not boot: {status}\n{}", self.console()?),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }
}
