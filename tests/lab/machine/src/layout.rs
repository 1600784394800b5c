//! Where things lie on the host.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The environment variable that names another prefix, for whoever works beside a running machine.
const PREFIX: &str = "TLSGATE_LAB_PREFIX";

/// The folders that a machine is made from.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The Wine prefix: the machine's disk. Made when it is missing.
    pub prefix: PathBuf,
    /// The stand-ins: `wdfldr.sys`, `ksecdd.sys`, `bcryptprimitives.dll`, and what else the lab
    /// brings.
    pub modules: PathBuf,
    /// The release build under test: `tlsgate.sys`, `tlsgate.exe`.
    pub package: PathBuf,
}

impl Layout {
    /// The workspace's fixed places. Only the machine's own may be moved, by
    /// `TLSGATE_LAB_PREFIX`.
    ///
    /// # Panics
    ///
    /// Never: this package lies three folders below the workspace's root.
    #[must_use]
    pub fn of_workspace() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(3)
            .expect("the root");
        let target = root.join("target");
        Self {
            prefix: env::var_os(PREFIX)
                .map_or_else(|| target.join("lab").join("prefix"), PathBuf::from),
            modules: target.join("lab").join("modules"),
            package: target.join("package"),
        }
    }

    /// What Windows calls `C:\`.
    pub(crate) fn drive(&self) -> PathBuf {
        self.prefix.join("drive_c")
    }

    /// What Windows calls `C:\lab`.
    pub(crate) fn lab(&self) -> PathBuf {
        self.drive().join("lab")
    }

    pub(crate) fn system32(&self) -> PathBuf {
        self.drive().join("windows").join("system32")
    }

    pub(crate) fn drivers(&self) -> PathBuf {
        self.system32().join("drivers")
    }

    /// A file beside the prefix that belongs to it.
    pub(crate) fn beside(&self, extension: &str) -> PathBuf {
        self.prefix.with_extension(extension)
    }
}
