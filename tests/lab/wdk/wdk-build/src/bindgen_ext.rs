//! How bindgen is set up for the driver kit's headers.

use std::borrow::Borrow;

use bindgen::{
    Builder, EnumVariation, Formatter,
    callbacks::{ItemInfo, ItemKind, ParseCallbacks},
};

use crate::{Config, ConfigError};

/// Makes a [`Builder`] that is set up for the driver kit.
pub trait BuilderExt {
    /// The settings of `wdk-build` 0.6.0.
    ///
    /// # Errors
    ///
    /// When a folder of headers is missing.
    fn wdk_default(config: impl Borrow<Config>) -> Result<Builder, ConfigError>;
}

/// Renames the framework's function table, whose linked name carries the version.
#[derive(Debug)]
struct FunctionTableName(Option<String>);

impl ParseCallbacks for FunctionTableName {
    fn generated_name_override(&self, item: ItemInfo) -> Option<String> {
        let is_table = matches!(item.kind, ItemKind::Var) && Some(item.name) == self.0.as_deref();
        is_table.then(|| "WdfFunctions".to_owned())
    }
}

impl BuilderExt for Builder {
    fn wdk_default(config: impl Borrow<Config>) -> Result<Builder, ConfigError> {
        let config = config.borrow();
        let includes = config
            .include_paths()?
            .map(|path| format!("--include-directory={}", path.display()));
        let definitions = config.preprocessor_definitions().map(|(name, value)| {
            value.map_or_else(
                || format!("--define-macro={name}"),
                |value| format!("--define-macro={name}={value}"),
            )
        });
        Ok(Self::default()
            .use_core()
            .derive_default(true)
            .generate_cstr(true)
            .detect_include_paths(false)
            .clang_args(CLANG_ARGUMENTS)
            .clang_args(includes)
            .clang_args(definitions)
            .blocklist_item("ExAllocatePoolWithTag")
            .blocklist_item("ExAllocatePoolWithQuotaTag")
            .blocklist_item("ExAllocatePoolWithTagPriority")
            .blocklist_item("ExAllocatePool")
            // Tile intrinsics of newer clangs, which bindgen cannot express.
            .blocklist_item("_?_tile1024i.*")
            .opaque_type("_KGDTENTRY64")
            .opaque_type("_KIDTENTRY64")
            .must_use_type("NTSTATUS")
            .must_use_type("HRESULT")
            .default_enum_style(EnumVariation::ModuleConsts)
            .parse_callbacks(Box::new(bindgen::CargoCallbacks::new()))
            .parse_callbacks(Box::new(FunctionTableName(
                config.compute_wdffunctions_symbol_name(),
            )))
            .formatter(Formatter::Prettyplease)
            .rust_edition(bindgen::RustEdition::Edition2024))
    }
}

/// The arguments of `wdk-build` 0.6.0, then those that mingw-w64's headers need.
const CLANG_ARGUMENTS: [&str; 7] = [
    "-fno-builtin",
    "-fms-compatibility",
    "-fms-extensions",
    "-fdelayed-template-parsing",
    "-Wno-everything",
    // Clang's intrinsics headers break under a mingw-w64 that takes the compiler for MSVC.
    "-fgnuc-version=4.2.1",
    // Never a header of the host.
    "-nostdlibinc",
];
