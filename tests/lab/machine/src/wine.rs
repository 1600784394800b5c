//! Wine as the lab uses it: which programs, which environment.

use crate::Layout;
use anyhow::{Context, Result};
use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where Debian keeps the programs that its `wine` script chooses among.
const DEBIAN: &str = "/usr/lib/wine";

/// `DbgPrint` output and Wine's own errors, less those about windows that a machine without a screen
/// cannot have.
const CHANNELS: &str = "-all,err+all,-ole,-systray,-winediag,warn+debugstr";

/// Wine's ksecdd.sys is a stub and would win over the stand-in; Mono and Gecko are not wanted.
const OVERRIDES: &str = "mscoree,mshtml=;ksecdd.sys=n";

/// The installed Wine.
#[derive(Debug)]
pub struct Wine {
    loader: PathBuf,
    server: PathBuf,
    /// `setarch`, where it can switch address randomisation off: Linux now and then puts something
    /// where Windows has its shared user data, and Wine fails with "failed to map the shared user
    /// data".
    setarch: Option<PathBuf>,
    prefix: PathBuf,
}

impl Wine {
    /// Finds it. The 64-bit loader is called directly: Debian's script complains about a missing
    /// 32-bit half, which the lab does not need.
    pub fn find(layout: &Layout) -> Result<Self> {
        let debian = Path::new(DEBIAN);
        let missing = "Wine is not installed: run `cargo xtask setup`";
        Ok(Self {
            loader: first(&[
                &debian.join("wine64"),
                Path::new("wine64"),
                Path::new("wine"),
            ])
            .context(missing)?,
            server: first(&[&debian.join("wineserver64"), Path::new("wineserver")])
                .context(missing)?,
            setarch: first(&[Path::new("setarch")]).filter(|setarch| can_fix_addresses(setarch)),
            prefix: layout.prefix.clone(),
        })
    }

    /// A command that runs a Windows program.
    pub fn program(&self, program: &str) -> Command {
        let mut command = self.command(&self.loader);
        command.arg(program);
        command
    }

    /// A command to the machine's kernel.
    pub fn server(&self, option: &str) -> Command {
        let mut command = self.command(&self.server);
        command.arg(option);
        command
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = if let Some(setarch) = &self.setarch {
            let mut command = Command::new(setarch);
            command.arg("--addr-no-randomize").arg(program);
            command
        } else {
            Command::new(program)
        };
        // Whatever the person at the keyboard uses Wine for is none of the lab's.
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("WINE") {
                command.env_remove(name);
            }
        }
        command
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .env("WINEPREFIX", &self.prefix)
            .env("WINEARCH", "win64")
            .env("WINEDLLOVERRIDES", OVERRIDES)
            .env("WINEDEBUG", CHANNELS)
            .env("WINESERVER", &self.server);
        command
    }
}

/// A sandbox may forbid it.
fn can_fix_addresses(setarch: &Path) -> bool {
    Command::new(setarch)
        .args(["--addr-no-randomize", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The first of these that exists; a bare name is looked for where commands are.
fn first(candidates: &[&Path]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    candidates.iter().find_map(|candidate| {
        if candidate.is_absolute() {
            return candidate.is_file().then(|| candidate.to_path_buf());
        }
        env::split_paths(&path)
            .map(|folder| folder.join(candidate))
            .find(|file| file.is_file())
    })
}
