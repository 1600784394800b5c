//! What may go wrong in a build script.

use std::{io, path::PathBuf};

use crate::ApiSubset;

/// A failed operation on a file.
#[derive(Debug, thiserror::Error)]
#[error("cannot access {}", path.display())]
pub struct IoError {
    path: PathBuf,
    source: io::Error,
}

impl IoError {
    /// Names the file of a failed operation.
    pub fn with_path(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self {
            path: path.into(),
            source,
        }
    }
}

/// Why a build cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read or written.
    #[error(transparent)]
    IoError(#[from] IoError),
    /// A folder of headers is missing.
    #[error("there is no folder {}", directory.display())]
    DirectoryNotFound {
        /// The folder.
        directory: PathBuf,
    },
    /// The environment lacks what `cargo xtask` sets.
    #[error("{variable} is not set: build with `cargo xtask build`")]
    NotSetUp {
        /// The variable's name.
        variable: &'static str,
    },
    /// A part of the driver kit that the stand-in has no headers for.
    #[error("the stand-in WDK has no headers for {subset:?}")]
    AbsentSubset {
        /// The part.
        subset: ApiSubset,
    },
    /// Drivers link the C run-time statically.
    #[error("the driver must be built with `-C target-feature=+crt-static`")]
    StaticCrtNotEnabled,
}
