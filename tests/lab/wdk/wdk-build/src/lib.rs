//! Stands in for Microsoft's `wdk-build` on Linux, so that the genuine `wdk`, `wdk-sys`, `wdk-alloc`
//! and `wdk-panic` build there against this folder's headers and import libraries.
//!
//! It offers what the build scripts of those crates call, for the one configuration in use: KMDF 1.33
//! on x64. The linker's flags and the bindgen settings are those of `wdk-build` 0.6.0; where they
//! differ, a comment says why.

mod bindgen_ext;
mod error;
mod link;

use std::{env, path::PathBuf};

pub use bindgen_ext::BuilderExt;
pub use error::{ConfigError, IoError};

/// Where `cargo xtask` has put the import libraries.
const LIBRARIES: &str = "TLSGATE_WDK_LIB";
/// The include folders, in order, separated as in `PATH`.
const HEADERS: &str = "TLSGATE_WDK_INCLUDE";

/// The driver models, as `wdk-sys` matches on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverConfig {
    /// Windows Driver Model.
    Wdm,
    /// Kernel-mode driver framework.
    Kmdf(KmdfConfig),
    /// User-mode driver framework.
    Umdf(UmdfConfig),
}

/// Versions of a KMDF driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KmdfConfig {
    /// Major version.
    pub kmdf_version_major: u8,
    /// Minor version that the driver is built for.
    pub target_kmdf_version_minor: u8,
    /// Oldest minor version that the driver accepts.
    pub minimum_kmdf_version_minor: Option<u8>,
}

/// Versions of a UMDF driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UmdfConfig {
    /// Major version.
    pub umdf_version_major: u8,
    /// Minor version that the driver is built for.
    pub target_umdf_version_minor: u8,
    /// Oldest minor version that the driver accepts.
    pub minimum_umdf_version_minor: Option<u8>,
}

/// Parts of the driver kit that have bindings of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiSubset {
    /// What every driver needs.
    Base,
    /// The driver framework.
    Wdf,
    /// General-purpose I/O.
    Gpio,
    /// Human interface devices.
    Hid,
    /// Parallel ports.
    ParallelPorts,
    /// Simple peripheral bus.
    Spb,
    /// Storage.
    Storage,
    /// USB.
    Usb,
}

/// How a driver is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The driver model.
    pub driver_config: DriverConfig,
    include_paths: Vec<PathBuf>,
}

impl Config {
    /// Reads the configuration that `cargo xtask` passes in the environment.
    fn from_environment() -> Result<Self, ConfigError> {
        println!("cargo::rerun-if-env-changed={HEADERS}");
        let headers = env::var_os(HEADERS).ok_or(ConfigError::NotSetUp { variable: HEADERS })?;
        Ok(Self {
            // As `[package.metadata.wdk.driver-model]` of the driver says; xtask's tests compare them.
            driver_config: DriverConfig::Kmdf(KmdfConfig {
                kmdf_version_major: 1,
                target_kmdf_version_minor: 33,
                minimum_kmdf_version_minor: None,
            }),
            include_paths: env::split_paths(&headers).collect(),
        })
    }

    /// The folders that hold the headers.
    ///
    /// # Errors
    ///
    /// When a folder does not exist.
    pub fn include_paths(&self) -> Result<impl Iterator<Item = PathBuf> + use<>, ConfigError> {
        for path in &self.include_paths {
            if !path.is_dir() {
                return Err(ConfigError::DirectoryNotFound {
                    directory: path.clone(),
                });
            }
        }
        Ok(self.include_paths.clone().into_iter())
    }

    /// The macros that the WDK's project files define.
    pub fn preprocessor_definitions(
        &self,
    ) -> impl Iterator<Item = (String, Option<String>)> + use<> {
        [
            ("_WIN64", None),
            ("_AMD64_", None),
            ("AMD64", None),
            ("_KERNEL_MODE", None),
            ("KMDF_VERSION_MAJOR", Some("1")),
            ("KMDF_VERSION_MINOR", Some("33")),
            // The WDK's own headers default to the newest Windows, mingw-w64's to an old one.
            ("_WIN32_WINNT", Some("0x0A00")),
            ("NTDDI_VERSION", Some("0x0A00000B")),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
    }

    /// The headers of one part of the kit.
    ///
    /// # Errors
    ///
    /// For the parts that this stand-in lacks.
    pub fn headers(
        &self,
        subset: ApiSubset,
    ) -> Result<impl Iterator<Item = String> + use<>, ConfigError> {
        let headers: &[&str] = match subset {
            ApiSubset::Base => &["ntifs.h", "ntddk.h", "ntstrsafe.h"],
            ApiSubset::Wdf => &["wdf.h"],
            absent => return Err(ConfigError::AbsentSubset { subset: absent }),
        };
        Ok(headers.iter().map(|&name| name.to_owned()))
    }

    /// A header that includes those of all the parts named.
    ///
    /// # Errors
    ///
    /// For the parts that this stand-in lacks.
    pub fn bindgen_header_contents(
        &self,
        subsets: impl IntoIterator<Item = ApiSubset>,
    ) -> Result<String, ConfigError> {
        let mut contents = String::new();
        for subset in subsets {
            for header in self.headers(subset)? {
                contents.push_str("#include \"");
                contents.push_str(&header);
                contents.push_str("\"\n");
            }
        }
        Ok(contents)
    }

    /// The `#[link]` blocks of one part of the kit.
    #[must_use]
    pub fn bindgen_library_link_raw_lines(&self, subset: ApiSubset) -> Option<String> {
        (subset == ApiSubset::Base).then(link::base_libraries)
    }

    /// The name under which the framework's function table is linked.
    #[must_use]
    pub fn compute_wdffunctions_symbol_name(&self) -> Option<String> {
        match self.driver_config {
            DriverConfig::Kmdf(kmdf) => Some(format!(
                "WdfFunctions_{:02}0{:02}",
                kmdf.kmdf_version_major, kmdf.target_kmdf_version_minor
            )),
            DriverConfig::Wdm | DriverConfig::Umdf(_) => None,
        }
    }
}

/// Configures the build of a library that uses the driver kit.
///
/// # Errors
///
/// When `cargo xtask` has not set the environment up.
pub fn configure_wdk_library_build() -> Result<(), ConfigError> {
    configure_wdk_library_build_and_then(|_| Ok(()))
}

/// Configures the build of a library that uses the driver kit, then calls `generate`.
///
/// # Errors
///
/// When `cargo xtask` has not set the environment up, and those of `generate`.
pub fn configure_wdk_library_build_and_then<F, E>(mut generate: F) -> Result<(), E>
where
    F: FnMut(Config) -> Result<(), E>,
    E: From<ConfigError>,
{
    link::emit_driver_model();
    generate(Config::from_environment()?)
}

/// Configures the build of a driver: its libraries and the linker's flags.
///
/// # Errors
///
/// When `cargo xtask` has not set the environment up, or the C run-time is not linked statically.
pub fn configure_wdk_binary_build() -> Result<(), ConfigError> {
    println!("cargo::rerun-if-env-changed={LIBRARIES}");
    let libraries = env::var(LIBRARIES).map_err(|_| ConfigError::NotSetUp {
        variable: LIBRARIES,
    })?;
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    if !features.split(',').any(|feature| feature == "crt-static") {
        return Err(ConfigError::StaticCrtNotEnabled);
    }
    println!("cargo::rustc-link-search={libraries}");
    link::emit_driver_arguments();
    link::emit_driver_model();
    Ok(())
}
