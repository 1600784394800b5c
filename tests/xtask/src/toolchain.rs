//! The compiler that builds for Windows, and where it finds Rust's own libraries.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::process;

/// What drivers are built for.
pub const MSVC: &str = "x86_64-pc-windows-msvc";
/// What user-mode programs and stand-in modules are built for.
pub const GNU: &str = "x86_64-pc-windows-gnu";

/// A Rust compiler.
#[derive(Debug, Clone)]
pub struct Toolchain {
    cargo: PathBuf,
    /// What `rustc -vV` says.
    pub identity: String,
    sysroot: PathBuf,
    /// A compiler that was unpacked, not installed, needs its libraries named.
    unpacked: Option<PathBuf>,
    /// Rust's libraries for Windows, when the compiler has none of its own.
    windows_sysroot: Option<PathBuf>,
}

impl Toolchain {
    /// The compiler that built this program.
    pub fn installed() -> Result<Self> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        Ok(Self {
            cargo: Self::installed_cargo(),
            identity: process::output(Command::new(&rustc).arg("-vV"))?,
            sysroot: process::output(Command::new(&rustc).args(["--print", "sysroot"]))?
                .trim()
                .into(),
            unpacked: None,
            windows_sysroot: None,
        })
    }

    /// The compiler of Debian packages that were unpacked to `root`.
    pub fn unpacked(root: &Path) -> Result<Self> {
        let libraries = root.join("usr/lib/x86_64-linux-gnu");
        let mut rustc = Command::new(root.join("usr/bin/rustc"));
        rustc.env("LD_LIBRARY_PATH", &libraries);
        Ok(Self {
            // The package with Debian's own cargo would need many more; the installed one does.
            cargo: Self::installed_cargo(),
            identity: process::output(rustc.arg("-vV"))?,
            sysroot: root.join("usr"),
            unpacked: Some(root.to_path_buf()),
            windows_sysroot: None,
        })
    }

    /// The cargo that runs this program.
    pub fn installed_cargo() -> PathBuf {
        std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
    }

    /// Whether the installed clippy is this compiler's: it reads only what its own compiler wrote.
    pub fn has_clippy(&self) -> bool {
        self.unpacked.is_none()
    }

    /// The version, for example `1.95.0`.
    pub fn version(&self) -> Result<&str> {
        self.field("release: ")
    }

    /// Takes Rust's libraries for Windows from a folder of the project's own.
    pub fn with_windows_sysroot(mut self, sysroot: PathBuf) -> Self {
        self.windows_sysroot = Some(sysroot);
        self
    }

    /// Whether the libraries for a target are there.
    pub fn has_libraries(&self, target: &str) -> bool {
        let sysroot = self.windows_sysroot.as_ref().unwrap_or(&self.sysroot);
        let folder = sysroot.join("lib/rustlib").join(target).join("lib");
        std::fs::read_dir(folder).is_ok_and(|entries| {
            entries
                .filter_map(Result::ok)
                .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
        })
    }

    /// rust-lld, which comes with rustup's compilers.
    pub fn rust_lld(&self) -> Result<PathBuf> {
        let host = self.field("host: ")?;
        let linker = self
            .sysroot
            .join(format!("lib/rustlib/{host}/bin/rust-lld"));
        if linker.is_file() {
            return Ok(linker);
        }
        if self.unpacked.is_some() {
            return Self::installed()?.rust_lld();
        }
        bail!("there is no {}: install Rust with rustup", linker.display())
    }

    /// A cargo command that builds for Windows. The flags are passed in a form that bears spaces in
    /// paths, and nothing of the caller's own flags is left.
    pub fn cargo(&self, flags: &[String]) -> Command {
        let mut flags = flags.to_vec();
        if let Some(sysroot) = &self.windows_sysroot {
            flags.push(format!("--sysroot={}", sysroot.display()));
        }
        let mut command = self.bare_cargo();
        command
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        command
    }

    /// Cargo, for this compiler.
    fn bare_cargo(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        if let Some(root) = &self.unpacked {
            command
                .env("RUSTC", root.join("usr/bin/rustc"))
                .env("LD_LIBRARY_PATH", root.join("usr/lib/x86_64-linux-gnu"));
        }
        command
    }

    fn field(&self, name: &str) -> Result<&str> {
        self.identity
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .with_context(|| format!("rustc -vV says no {name}"))
    }
}
