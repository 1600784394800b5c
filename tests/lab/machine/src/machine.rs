//! The machine's life: power on, run programs, look for broken rules, power off.

mod boot;

use crate::{
    Layout, Output, Running, files,
    host::{self, Disk},
    process::run,
    stops,
    wait::wait_until,
    wine::Wine,
};
use anyhow::{Context, Result, bail};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{self, Stdio},
    time::Duration,
};
use tlsgate_lab_control::{Remote, kmdf};

/// The stand-ins that drivers import.
const KERNEL_MODULES: [&str; 2] = ["wdfldr.sys", "ksecdd.sys"];

/// What Rust's standard library needs and Wine 8 lacks.
const RANDOM: &str = "bcryptprimitives.dll";

/// How long a command may take unless the caller says otherwise.
const COMMAND_LIMIT: Duration = Duration::from_mins(1);

/// How long making a new prefix may take, on a slow and busy host.
const FIRST_BOOT_LIMIT: Duration = Duration::from_mins(5);

/// How long a stand-in may take to leave its port number once it is loaded.
const MODULE_LIMIT: Duration = Duration::from_secs(30);

/// A machine that is powered on. Dropping it powers it off.
#[derive(Debug)]
pub struct Machine {
    layout: Layout,
    wine: Wine,
    on: bool,
    /// Held as long as the machine is on.
    _locks: Vec<File>,
}

impl Machine {
    /// Powers a machine on; makes it first if it does not exist. `progress` is told each step.
    ///
    /// # Errors
    ///
    /// Wine or the lab's modules are missing, or Wine does not start.
    pub fn power_on(layout: &Layout, progress: &mut dyn FnMut(&str)) -> Result<Self> {
        let disk = host::any(layout, progress)?;
        Self::with(layout, disk, progress)
    }

    /// The same once all machines of the host are off, and none is powered on beside it: for what measures
    /// time or counts threads.
    ///
    /// # Errors
    ///
    /// As for [`Self::power_on`].
    pub fn power_on_alone(layout: &Layout, progress: &mut dyn FnMut(&str)) -> Result<Self> {
        let disk = host::alone(layout, progress)?;
        Self::with(layout, disk, progress)
    }

    fn with(layout: &Layout, disk: Disk, progress: &mut dyn FnMut(&str)) -> Result<Self> {
        let layout = Layout {
            prefix: disk.prefix,
            ..layout.clone()
        };
        let machine = Self {
            wine: Wine::find(&layout)?,
            layout,
            on: true,
            _locks: disk.locks,
        };
        // A run that was killed may have left its machine on.
        machine.switch_off()?;
        files::remove(&machine.log())?;
        machine.make_prefix(progress)?;
        machine.place_modules()?;
        machine.remove_traces()?;
        machine.make_room_for_requests()?;
        progress("booting the machine");
        machine.boot()?;
        Ok(machine)
    }

    /// A new prefix. The mark is set last, so that a half-made prefix is made again.
    fn make_prefix(&self, progress: &mut dyn FnMut(&str)) -> Result<()> {
        let mark = self.layout.prefix.join("tlsgate-lab");
        if mark.exists() {
            return Ok(());
        }
        progress("making the machine's disk (once, about ten seconds)");
        if self.layout.prefix.exists() {
            fs::remove_dir_all(&self.layout.prefix)?;
        }
        let mut command = self.wine.program("wineboot");
        command.arg("-i");
        run(command, Stdio::null(), FIRST_BOOT_LIMIT, &self.log())?.success()?;
        // wineboot returns before everything is on disk; without clients the server ends.
        run(
            self.wine.server("-w"),
            Stdio::null(),
            FIRST_BOOT_LIMIT,
            &self.log(),
        )?
        .success()?;
        fs::write(mark, "made by the lab of TlsGate\n")?;
        Ok(())
    }

    fn place_modules(&self) -> Result<()> {
        let Layout {
            modules, package, ..
        } = &self.layout;
        let stand_ins = self.layout.stand_ins.as_ref().unwrap_or(modules);
        for name in KERNEL_MODULES {
            files::place(&stand_ins.join(name), &self.layout.drivers().join(name))?;
        }
        for folder in [
            self.layout.drivers(),
            self.layout.system32(),
            self.layout.lab(),
        ] {
            files::place(&modules.join(RANDOM), &folder.join(RANDOM))?;
        }
        // The lab's own drivers and programs, and the package under test.
        for file in files::files(modules)?
            .into_iter()
            .chain(files::files(package)?)
        {
            let name = file.file_name().context("a file without a name")?;
            if !KERNEL_MODULES.iter().any(|module| name == *module) {
                files::place(&file, &self.layout.lab().join(name))?;
            }
        }
        Ok(())
    }

    /// What an earlier run left: port numbers of modules that are gone, its stops and events, and how it
    /// wanted stand-ins to begin.
    fn remove_traces(&self) -> Result<()> {
        for file in files::files(&self.layout.lab())? {
            if file
                .extension()
                .is_some_and(|extension| extension == "port")
            {
                files::remove(&file)?;
            }
        }
        for left in [kmdf::EVENT_LOG, kmdf::FIRST_SWITCHES] {
            files::remove(&self.layout.lab().join(left))?;
        }
        files::remove(&self.stop_log())
    }

    /// A folder for the KMDF stand-in to leave requests in, if anybody wants them.
    fn make_room_for_requests(&self) -> Result<()> {
        let folder = self.layout.lab().join(kmdf::REQUESTS);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
        }
        if self.layout.requests.is_some() {
            fs::create_dir(&folder).with_context(|| format!("{}", folder.display()))?;
        }
        Ok(())
    }

    /// Brings what it has left in there to who wants it.
    fn take_requests(&self) -> Result<()> {
        let folder = self.layout.lab().join(kmdf::REQUESTS);
        let Some(wanted) = self.layout.requests.as_ref().filter(|_| folder.exists()) else {
            return Ok(());
        };
        for file in files::files(&folder)? {
            let name = file.file_name().context("a file without a name")?;
            // Beside those of other machines, and of this one before it was restarted.
            let name = format!("{}-{}", process::id(), name.to_string_lossy());
            files::place(&file, &wanted.join(name))?;
        }
        Ok(())
    }

    /// Runs a program to its end, for a minute at most.
    ///
    /// # Errors
    ///
    /// It could not be started, or took too long and was killed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<Output> {
        self.run_for(COMMAND_LIMIT, program, arguments)
    }

    /// Runs a program to its end, for `limit` at most.
    ///
    /// # Errors
    ///
    /// It could not be started, or took too long and was killed.
    pub fn run_for(&self, limit: Duration, program: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = self.wine.program(program);
        command.args(arguments);
        run(command, Stdio::null(), limit, &self.log())
    }

    /// Starts a program that goes on running.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn spawn(&self, program: &str, arguments: &[&str]) -> Result<Running> {
        let mut command = self.wine.program(program);
        command.args(arguments);
        Running::start(command, &self.log())
    }

    /// A connection to a stand-in that is loaded: `wdfldr` or `ksecdd`.
    ///
    /// # Errors
    ///
    /// It is not loaded, and does not come.
    pub fn remote(&self, module: &str) -> Result<Remote> {
        let folder = self.layout.lab();
        let mut last = None;
        wait_until(
            &format!("the control port of {module}"),
            MODULE_LIMIT,
            || match Remote::connect(&folder, module) {
                Ok(remote) => Ok(Some(remote)),
                Err(error) => {
                    last = Some(error);
                    Ok(None)
                }
            },
        )
        .map_err(|error| {
            last.take()
                .map_or(error, |last| last.context("the stand-in is silent"))
        })
    }

    /// Puts a file into `C:\lab`.
    ///
    /// # Errors
    ///
    /// It cannot be read or written.
    pub fn place(&self, file: &Path) -> Result<()> {
        let name = file.file_name().context("a file without a name")?;
        files::place(file, &self.layout.lab().join(name)).map(drop)
    }

    /// Puts a folder's files into a folder of that name in `C:\lab`, which has no others then.
    ///
    /// # Errors
    ///
    /// They cannot be read or written.
    pub fn place_folder(&self, folder: &Path) -> Result<()> {
        let name = folder.file_name().context("a folder without a name")?;
        let there = self.layout.lab().join(name);
        if there.exists() {
            fs::remove_dir_all(&there).with_context(|| format!("removing {}", there.display()))?;
        }
        for file in files::files(folder)? {
            let name = file.file_name().context("a file without a name")?;
            files::place(&file, &there.join(name))?;
        }
        Ok(())
    }

    /// Where `C:\lab` is on the host.
    #[must_use]
    pub fn lab(&self) -> PathBuf {
        self.layout.lab()
    }

    /// Where the machine keeps its drivers, on the host.
    #[must_use]
    pub fn drivers(&self) -> PathBuf {
        self.layout.drivers()
    }

    /// Everything that Wine, the drivers and the stand-ins have written to their standard error.
    /// Programs that still run add theirs when they end.
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    pub fn console(&self) -> Result<String> {
        files::read_if_present(&self.log())
    }

    /// The broken rules and crashes so far, a line each.
    ///
    /// # Errors
    ///
    /// The logs cannot be read.
    pub fn stops(&self) -> Result<Vec<String>> {
        let stop_log = files::read_if_present(&self.stop_log())?;
        let mut stops: Vec<String> = stop_log.lines().map(str::to_owned).collect();
        // A stand-in writes to both; what is in the file need not be told again.
        for line in stops::in_log(&self.console()?) {
            if !stops.iter().any(|stop| line.contains(stop.as_str())) {
                stops.push(line.to_owned());
            }
        }
        Ok(stops)
    }

    /// Forgets the stops so far: for a test that expected them.
    ///
    /// # Errors
    ///
    /// The logs cannot be removed.
    pub fn forget_stops(&self) -> Result<()> {
        files::remove(&self.stop_log())?;
        // Emptied, not removed: the drivers write to the same file.
        if self.log().exists() {
            File::options().write(true).open(self.log())?.set_len(0)?;
        }
        Ok(())
    }

    /// Fails if a rule was broken or something crashed.
    ///
    /// # Errors
    ///
    /// The stops, with the end of the log.
    pub fn check(&self) -> Result<()> {
        let stops = self.stops()?;
        if stops.is_empty() {
            return Ok(());
        }
        let console = self.console()?;
        let lines: Vec<&str> = console.lines().collect();
        let end = lines[lines.len().saturating_sub(40)..].join("\n");
        bail!(
            "the machine stopped:\n{}\nthe log's end:\n{end}",
            stops.join("\n")
        )
    }

    /// Powers the machine off at once, as its switch would, and on again.
    ///
    /// # Errors
    ///
    /// Wine does not start.
    pub fn restart(&self) -> Result<()> {
        self.switch_off()?;
        self.remove_traces()?;
        self.boot()
    }

    /// Powers the machine off.
    ///
    /// # Errors
    ///
    /// A rule was broken or something crashed since power-on.
    pub fn power_off(mut self) -> Result<()> {
        let checked = self.check();
        self.on = false;
        self.switch_off()?;
        checked
    }

    fn switch_off(&self) -> Result<()> {
        // Exit code 1 means that it was off already.
        run(
            self.wine.server("-k"),
            Stdio::null(),
            COMMAND_LIMIT,
            &self.log(),
        )?;
        run(
            self.wine.server("-w"),
            Stdio::null(),
            COMMAND_LIMIT,
            &self.log(),
        )?
        .success()?;
        self.take_requests()
    }

    fn log(&self) -> PathBuf {
        self.layout.beside("log")
    }

    fn stop_log(&self) -> PathBuf {
        self.layout.lab().join("stop.log")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.on
            && let Err(error) = self.switch_off()
        {
            eprintln!("the machine does not go off: {error:#}");
        }
    }
}
