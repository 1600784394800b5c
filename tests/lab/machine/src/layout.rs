//! Where things lie on the host.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The environment variable that names another prefix, for whoever works beside running machines.
const PREFIX: &str = "TLSGATE_LAB_PREFIX";

/// The environment variable that says how many machines may be on at a time.
const MACHINES: &str = "TLSGATE_LAB_MACHINES";

/// The environment variable that names a folder for requests as they came to the driver, for a fuzzer's corpus.
const REQUESTS: &str = "TLSGATE_LAB_REQUESTS";

/// The folders that a machine is made from.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The Wine prefix: the machine's disk. Made when it is missing. Those of further machines lie beside it.
    pub prefix: PathBuf,
    /// How many machines may be on at a time, 1 at least.
    pub machines: usize,
    /// The stand-ins: `wdfldr.sys`, `ksecdd.sys`, `bcryptprimitives.dll`, and what else the lab
    /// brings.
    pub modules: PathBuf,
    /// Where `wdfldr.sys` and `ksecdd.sys` are taken from instead, if not from there.
    pub stand_ins: Option<PathBuf>,
    /// The release build under test: `tlsgate.sys`, `tlsgate.exe`.
    pub package: PathBuf,
    /// Where the requests that come to the driver are kept as files, if they are to be.
    pub requests: Option<PathBuf>,
}

impl Layout {
    /// The workspace's fixed places. Only the machine's own may be moved, by
    /// `TLSGATE_LAB_PREFIX`. There is one machine, or as many as `TLSGATE_LAB_MACHINES` says.
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
            machines: machines(),
            prefix: env::var_os(PREFIX)
                .map_or_else(|| target.join("lab").join("prefix"), PathBuf::from),
            modules: target.join("lab").join("modules"),
            stand_ins: None,
            package: target.join("package"),
            requests: env::var_os(REQUESTS).map(PathBuf::from),
        }
    }

    /// The same with the stand-ins that measure a driver in its own process, and leave costly checks out.
    #[must_use]
    pub fn for_measuring() -> Self {
        let usual = Self::of_workspace();
        Self {
            stand_ins: Some(usual.modules.with_file_name("bench-modules")),
            ..usual
        }
    }

    /// The prefixes of all machines.
    pub(crate) fn prefixes(&self) -> Vec<PathBuf> {
        let further = (2..=self.machines).map(|number| {
            let mut name = self.prefix.file_name().unwrap_or_default().to_owned();
            name.push(format!("-{number}"));
            self.prefix.with_file_name(name)
        });
        std::iter::once(self.prefix.clone())
            .chain(further)
            .collect()
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

fn machines() -> usize {
    let asked = env::var(MACHINES).ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(1)
}
