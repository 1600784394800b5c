//! Where things are in the work tree. Other parts rely on these places.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The work tree.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The work tree that this program was built in.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .context("tests/xtask lies two folders below the root")?
            .to_path_buf();
        // wdk-sys binds whatever header has `wdf` anywhere in its path.
        if root.to_string_lossy().to_lowercase().contains("wdf") {
            bail!(
                "the path of the work tree, {}, contains `wdf`, which wdk-sys takes for a framework \
                 header's: move the work tree",
                root.display()
            );
        }
        Ok(Self { root })
    }

    /// The copy of the sources in which `mutants` changes them, with a `target` of its own.
    pub fn of_copy(&self) -> Self {
        Self {
            root: self.target("mutants"),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The workspace that builds drivers against the stand-in WDK.
    pub fn wdk(&self) -> PathBuf {
        self.root.join("tests/lab/wdk")
    }

    fn target(&self, below: &str) -> PathBuf {
        self.root.join("target").join(below)
    }

    /// What is fetched or made once: Rust's libraries for Windows, unpacked packages.
    pub fn setup(&self) -> PathBuf {
        self.target("setup")
    }

    /// Rust's libraries for the Windows targets, where rustup has none.
    pub fn sysroot(&self) -> PathBuf {
        self.setup().join("sysroot")
    }

    /// What fuzzing builds, collects and finds.
    pub fn fuzz(&self) -> PathBuf {
        self.target("fuzz")
    }

    /// The release build.
    pub fn package(&self) -> PathBuf {
        self.target("package")
    }

    /// What the lab puts beside the driver.
    pub fn modules(&self) -> PathBuf {
        self.target("lab/modules")
    }

    /// The stand-ins that measure the driver.
    pub fn bench_modules(&self) -> PathBuf {
        self.target("lab/bench-modules")
    }

    /// Import libraries and entry code of the stand-in WDK.
    pub fn wdk_libraries(&self) -> PathBuf {
        self.target("lab/wdk")
    }

    /// Cargo's output for drivers.
    pub fn driver_target(&self) -> PathBuf {
        self.target("wdk")
    }

    /// Cargo's output for the driver that is compared with the first one.
    pub fn driver_target_again(&self) -> PathBuf {
        self.target("wdk-again")
    }

    /// Cargo's output for user-mode programs and stand-in modules.
    pub fn windows_target(&self) -> PathBuf {
        self.target("windows")
    }
}
