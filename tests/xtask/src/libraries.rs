//! Rust's own libraries for the Windows targets: from rustup where it can give them, else built from
//! the sources in Debian's packages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{
    apt::{self, PrivateLists},
    layout::Layout,
    process,
    step::Step,
    toolchain::{GNU, MSVC, Toolchain},
};

/// Where the libraries come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Origin {
    /// rustup, which may have them already.
    Rustup,
    /// Debian's `rust-src` of exactly the compiler's version.
    RustSrc,
    /// Debian's own compiler and its matching sources, `rustc-web` and `rust-web-src`.
    RustcWeb,
}

impl Origin {
    /// The order of preference.
    pub const ALL: [Self; 3] = [Self::Rustup, Self::RustSrc, Self::RustcWeb];

    /// The name by which it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rustup => "rustup",
            Self::RustSrc => "rust-src",
            Self::RustcWeb => "rustc-web",
        }
    }
}

/// The compiler with its libraries for Windows, if a former run has prepared them for it.
pub fn prepared(layout: &Layout, asked: Option<Origin>) -> Result<Option<(Origin, Toolchain)>> {
    let installed = Toolchain::installed()?;
    let Ok(stamp) = fs::read_to_string(stamp_path(layout)) else {
        return Ok(None);
    };
    let Some(origin) = Origin::ALL
        .into_iter()
        .find(|origin| stamp == stamp_text(*origin, &installed))
        .filter(|origin| asked.is_none_or(|asked| asked == *origin))
    else {
        return Ok(None);
    };
    let toolchain = toolchain(layout, origin, installed)?;
    let complete = [MSVC, GNU]
        .iter()
        .all(|target| toolchain.has_libraries(target));
    Ok(complete.then_some((origin, toolchain)))
}

/// Prepares the libraries and tells which way was taken and why.
pub fn prepare(layout: &Layout, asked: Option<Origin>, step: &Step) -> Result<Toolchain> {
    let installed = Toolchain::installed()?;
    let mut refusals = Vec::new();
    for origin in Origin::ALL {
        if asked.is_some_and(|asked| asked != origin) {
            continue;
        }
        let attempt = match origin {
            Origin::Rustup => from_rustup(&installed, step),
            Origin::RustSrc => from_rust_src(layout, &installed, step),
            Origin::RustcWeb => from_rustc_web(layout, step),
        };
        match attempt {
            Ok(reason) => {
                step.note(&format!(
                    "Rust's libraries for Windows: {}: {reason}",
                    origin.name()
                ));
                fs::create_dir_all(layout.setup())?;
                fs::write(stamp_path(layout), stamp_text(origin, &installed))?;
                return toolchain(layout, origin, installed);
            }
            Err(error) => {
                let reason = format!("{}: {error:#}", origin.name());
                step.note(&format!(
                    "not from {}",
                    reason.lines().next().unwrap_or_default()
                ));
                refusals.push(reason);
            }
        }
    }
    bail!(
        "Rust's libraries for {MSVC} and {GNU} are nowhere to be had. Make one of these work, then \
         run `cargo xtask setup` again: `rustup target add {MSVC} {GNU}`; or a Debian mirror whose \
         backports have rust-src {}; or Debian's security archive with rustc-web.\n{}",
        installed.version()?,
        refusals.join("\n")
    )
}

fn stamp_path(layout: &Layout) -> PathBuf {
    layout.setup().join("libraries")
}

/// Another compiler, or another way, makes another stamp.
fn stamp_text(origin: Origin, installed: &Toolchain) -> String {
    format!("{}\n{}", origin.name(), installed.identity)
}

fn toolchain(layout: &Layout, origin: Origin, installed: Toolchain) -> Result<Toolchain> {
    Ok(match origin {
        Origin::Rustup => installed,
        Origin::RustSrc => installed.with_windows_sysroot(layout.sysroot()),
        // Its sysroot for Windows holds the host's libraries, too: build scripts need them.
        Origin::RustcWeb => {
            Toolchain::unpacked(&debian_root(layout))?.with_windows_sysroot(layout.sysroot())
        }
    })
}

fn debian_root(layout: &Layout) -> PathBuf {
    layout.setup().join("debian")
}

fn from_rustup(installed: &Toolchain, step: &Step) -> Result<String> {
    if [MSVC, GNU]
        .iter()
        .all(|target| installed.has_libraries(target))
    {
        return Ok("the compiler has them".to_owned());
    }
    if !process::exists("rustup") {
        bail!("there is no rustup");
    }
    process::run(
        Command::new("rustup").args(["target", "add", MSVC, GNU]),
        step,
    )
    .context("`rustup target add` failed")?;
    if ![MSVC, GNU]
        .iter()
        .all(|target| installed.has_libraries(target))
    {
        bail!("`rustup target add` gave them to another compiler than the one in use");
    }
    Ok("`rustup target add` brought them".to_owned())
}

fn from_rust_src(layout: &Layout, installed: &Toolchain, step: &Step) -> Result<String> {
    let version = installed.version()?;
    let release = apt::release()?;
    let mirrors = apt::mirrors(&apt::configured()?, &release);
    if mirrors.is_empty() {
        bail!("the system's package sources name no mirror of Debian {release}");
    }
    let root = layout.setup().join("rust-src");
    let mut refusals = Vec::new();
    for mirror in &mirrors {
        // Backports of the release itself, of the current stable one, then what is to be the next.
        for suite in [
            &format!("{release}-backports"),
            "stable-backports",
            "testing",
            "unstable",
        ] {
            let apt_folder = layout.setup().join("apt");
            let lists = match PrivateLists::fetch(&apt_folder, mirror, suite, step) {
                Ok(lists) => lists,
                Err(error) => {
                    refusals.push(format!("{suite}: {error:#}"));
                    continue;
                }
            };
            let Some(found) = apt::matching_version(&lists.versions("rust-src")?, version) else {
                refusals.push(format!("{suite} has another version or none"));
                continue;
            };
            remove(&root)?;
            lists.unpack(&[format!("rust-src={found}")], &root, step)?;
            build(layout, installed, &library_folder(&root)?, step)?;
            remove(&root)?;
            return Ok(format!(
                "rust-src {found} of the suite {suite} is the compiler's version"
            ));
        }
    }
    bail!(
        "no suite of the system's Debian mirror gives rust-src {version}: {}",
        refusals.join("; ")
    )
}

fn from_rustc_web(layout: &Layout, step: &Step) -> Result<String> {
    let release = apt::release()?;
    let mirrors = apt::security_mirrors(&apt::configured()?, &release);
    let mirror = mirrors
        .first()
        .with_context(|| format!("the system's package sources lack {release}-security"))?;
    let lists = PrivateLists::fetch(
        &layout.setup().join("apt"),
        mirror,
        &format!("{release}-security"),
        step,
    )?;
    let madison = lists.versions("rustc-web")?;
    let version = madison
        .split('|')
        .nth(1)
        .map(str::trim)
        .context("there is no rustc-web")?;
    // `libstd-rust-web-1.96` carries the minor version in its name, and needs an LLVM of its own.
    let minor = version
        .rsplit_once('.')
        .context("a version has two dots")?
        .0;
    let shared = format!("libstd-rust-web-{minor}");
    let mut packages: Vec<String> = ["rustc-web", "rust-web-src", "libstd-rust-web-dev", &shared]
        .iter()
        .map(|name| format!("{name}={version}"))
        .collect();
    packages.extend(lists.dependency(&shared, "libllvm")?);
    let root = debian_root(layout);
    remove(&root)?;
    lists.unpack(&packages, &root, step)?;
    let toolchain = Toolchain::unpacked(&root)?;
    build(layout, &toolchain, &library_folder(&root)?, step)?;
    Ok(format!("rustc-web {version} has its own sources"))
}

/// The library sources below an unpacked package.
fn library_folder(root: &Path) -> Result<PathBuf> {
    let sources = root.join("usr/src");
    for entry in fs::read_dir(&sources).with_context(|| sources.display().to_string())? {
        let library = entry?.path().join("library");
        if library.join("std/Cargo.toml").is_file() {
            return Ok(library);
        }
    }
    bail!("{} holds no sources of Rust's libraries", sources.display())
}

/// Builds the libraries to the project's own sysroot.
fn build(layout: &Layout, toolchain: &Toolchain, library: &Path, step: &Step) -> Result<()> {
    let work = layout.setup().join("libraries-build");
    remove(&work)?;
    fs::create_dir_all(work.join("src"))?;
    fs::write(
        work.join("Cargo.toml"),
        // Programs that abort on a panic, as the root workspace's do, need libraries that do so.
        "[package]\nname = \"empty\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [profile.release]\npanic = \"abort\"\n",
    )?;
    fs::write(work.join("src/lib.rs"), "#![no_std]\n")?;
    let fresh = layout.setup().join("sysroot.new");
    remove(&fresh)?;
    for (target, crates) in [(MSVC, "core,alloc"), (GNU, "std,panic_abort")] {
        process::run(
            toolchain
                // Link-time optimisation needs bitcode, as rustup's libraries have it.
                .cargo(&["-Cembed-bitcode=yes".to_owned()])
                .current_dir(&work)
                .args(["build", "--release", "--target", target])
                .arg(format!("-Zbuild-std={crates}"))
                // A stable compiler builds its own libraries only when told so by these two.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("__CARGO_TESTS_ONLY_SRC_ROOT", library)
                .env("CARGO_TARGET_DIR", work.join("target")),
            step,
        )?;
        let folder = fresh.join("lib/rustlib").join(target).join("lib");
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(work.join("target").join(target).join("release/deps"))? {
            let entry = entry?;
            let is_library = entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "rlib");
            if is_library && !entry.file_name().to_string_lossy().starts_with("libempty") {
                fs::copy(entry.path(), folder.join(entry.file_name()))?;
            }
        }
    }
    remove(&layout.sysroot())?;
    fs::rename(&fresh, layout.sysroot())?;
    remove(&work)?;
    // What was built on other libraries does not fit these.
    remove(&layout.driver_target().join(MSVC))?;
    remove(&layout.driver_target_again().join(MSVC))?;
    remove(&layout.windows_target())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
