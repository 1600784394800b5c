//! Makes the libraries of the stand-in WDK, and the environment that a driver is built in.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    imports::{Imports, MODULES},
    layout::Layout,
    process,
    toolchain::{MSVC, Toolchain},
};

/// Where Debian's mingw-w64 has the kernel's headers.
const MINGW_HEADERS: [&str; 2] = [
    "/usr/share/mingw-w64/include/ddk",
    "/usr/share/mingw-w64/include",
];
/// The macros that the replacement `wdk-build` passes to bindgen, for the entry code.
const DEFINITIONS: [&str; 8] = [
    "_WIN64",
    "_AMD64_",
    "AMD64",
    "_KERNEL_MODE",
    "KMDF_VERSION_MAJOR=1",
    "KMDF_VERSION_MINOR=33",
    "_WIN32_WINNT=0x0A00",
    "NTDDI_VERSION=0x0A00000B",
];
/// The compiler that bindgen and the entry code use, as Debian 12 has it.
pub const CLANG: &str = "clang-14";
const LIBCLANG: &str = "/usr/lib/llvm-14/lib";
/// What makes clang read mingw-w64's headers as MSVC would the WDK's.
const CLANG_FLAGS: [&str; 6] = [
    "--target=x86_64-pc-windows-msvc",
    "-fms-compatibility",
    "-fms-extensions",
    "-fgnuc-version=4.2.1",
    "-nostdlibinc",
    "-Wno-everything",
];
/// The WDK links this library for failed stack cookies, which Rust code has none of: it is empty.
const EMPTY_LIBRARY: &str = "BufferOverflowFastFailK";
const ENTRY_LIBRARY: &str = "WdfDriverEntry";

/// The stand-in WDK, ready to build against.
pub struct Wdk {
    libraries: PathBuf,
    headers: Vec<PathBuf>,
    linker: PathBuf,
    archiver: PathBuf,
    resource_dir: String,
}

impl Wdk {
    /// Makes what is missing or out of date. Files whose contents are right are left alone: a newer
    /// time stamp would make cargo run bindgen again.
    pub fn prepare(layout: &Layout, toolchain: &Toolchain) -> Result<Self> {
        let libraries = layout.wdk_libraries();
        fs::create_dir_all(&libraries)?;
        let wdk = Self {
            linker: toolchain.rust_lld()?,
            archiver: libraries.join("archiver.sh"),
            headers: std::iter::once(layout.wdk().join("include"))
                .chain(MINGW_HEADERS.iter().map(PathBuf::from))
                .collect(),
            libraries,
            resource_dir: process::output(Command::new(CLANG).arg("-print-resource-dir"))?
                .trim()
                .to_owned(),
        };
        wdk.write_archiver()?;
        wdk.make_import_libraries(&layout.wdk().join("imports.csv"))?;
        wdk.make_object_library(ENTRY_LIBRARY, &layout.wdk().join("entry/WdfDriverEntry.c"))?;
        let empty = wdk.libraries.join("empty.c");
        write_if_changed(&empty, b"\n")?;
        wdk.make_object_library(EMPTY_LIBRARY, &empty)?;
        wdk.drop_stale_fragments(layout)?;
        Ok(wdk)
    }

    /// A cargo command that builds, checks or lints drivers.
    pub fn cargo(&self, layout: &Layout, toolchain: &Toolchain, verb: &str) -> Result<Command> {
        let mut command = toolchain.cargo(&rust_flags(layout));
        let headers = env::join_paths(&self.headers)?;
        command
            .current_dir(layout.wdk())
            .arg(verb)
            .args(["--locked", "--release", "--target", MSVC])
            .env("CARGO_TARGET_DIR", layout.driver_target())
            .env("CARGO_TARGET_X86_64_PC_WINDOWS_MSVC_LINKER", &self.linker)
            .env("TLSGATE_WDK_LIB", &self.libraries)
            .env("TLSGATE_WDK_INCLUDE", headers)
            .env(
                "BINDGEN_EXTRA_CLANG_ARGS",
                format!("-resource-dir={}", self.resource_dir),
            )
            .env("CC_x86_64_pc_windows_msvc", CLANG)
            .env("LIBCLANG_PATH", LIBCLANG)
            .env("CFLAGS_x86_64_pc_windows_msvc", CLANG_FLAGS.join(" "))
            .env("AR_x86_64_pc_windows_msvc", &self.archiver);
        Ok(command)
    }

    /// `cc` calls an archiver with the arguments of Microsoft's `lib`; rust-lld has it as a mode.
    fn write_archiver(&self) -> Result<()> {
        let script = format!(
            "#!/bin/sh\nexec '{}' -flavor link /lib \"$@\"\n",
            self.linker.display()
        );
        if write_if_changed(&self.archiver, script.as_bytes())? {
            fs::set_permissions(&self.archiver, Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    fn make_import_libraries(&self, table: &Path) -> Result<()> {
        let imports = Imports::read(table)?;
        for (module, file) in MODULES {
            let definition = self.libraries.join(format!("{module}.def"));
            let library = self.libraries.join(format!("{module}.lib"));
            let changed =
                write_if_changed(&definition, imports.definition(module, file).as_bytes())?;
            if changed || !library.exists() {
                process::output(
                    Command::new(&self.linker)
                        .args(["-flavor", "link", "/lib", "/machine:x64"])
                        .arg(format!("/def:{}", definition.display()))
                        .arg(format!("/out:{}", library.display())),
                )?;
            }
        }
        Ok(())
    }

    fn make_object_library(&self, name: &str, source: &Path) -> Result<()> {
        let object = self.libraries.join(format!("{name}.obj"));
        let fresh = self.libraries.join(format!("{name}.obj.new"));
        let library = self.libraries.join(format!("{name}.lib"));
        process::output(
            Command::new(CLANG)
                .args(CLANG_FLAGS)
                .args(["-ffreestanding", "-mno-sse", "-O2", "-c"])
                .args(DEFINITIONS.map(|definition| format!("-D{definition}")))
                .args(
                    self.headers
                        .iter()
                        .map(|folder| format!("-I{}", folder.display())),
                )
                .arg(source)
                .arg("-o")
                .arg(&fresh),
        )?;
        let changed = write_if_changed(&object, &fs::read(&fresh)?)?;
        fs::remove_file(&fresh)?;
        if changed || !library.exists() {
            process::output(
                Command::new(&self.archiver)
                    .arg(format!("/out:{}", library.display()))
                    .arg(&object),
            )?;
        }
        Ok(())
    }

    /// `wdk-macros` keeps what it has read of the bindings, and never looks whether they changed.
    fn drop_stale_fragments(&self, layout: &Layout) -> Result<()> {
        let mut headers = Vec::new();
        for entry in fs::read_dir(layout.wdk().join("include"))? {
            headers.push(entry?.path());
        }
        headers.sort();
        let mut contents = Vec::new();
        for header in headers {
            contents.extend(fs::read(header)?);
        }
        if !write_if_changed(&self.libraries.join("headers.seen"), &contents)? {
            return Ok(());
        }
        let Ok(build_folders) = fs::read_dir(layout.driver_target().join("release/build")) else {
            return Ok(());
        };
        for folder in build_folders {
            let fragments = folder?.path().join("out/wdk_macros_ast_fragments");
            if fragments.is_dir() {
                fs::remove_dir_all(fragments)?;
            }
        }
        Ok(())
    }
}

/// Flags that every driver is built with.
fn rust_flags(layout: &Layout) -> Vec<String> {
    vec![
        "-Ctarget-feature=+crt-static".to_owned(),
        // The image depends on its sources alone: no time stamp, no path of this machine.
        "-Clink-arg=/Brepro".to_owned(),
        // Nor a debug directory: its identity is that of a PDB, which names the object files.
        "-Clink-arg=/DEBUG:NONE".to_owned(),
        format!("--remap-path-prefix={}=tlsgate", layout.root().display()),
    ]
}

/// Writes a file unless it has those contents; tells whether it wrote.
fn write_if_changed(path: &Path, contents: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|present| present == contents) {
        return Ok(false);
    }
    fs::write(path, contents).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}
