//! `cargo xtask doctor`: what is there and what is missing, without changing anything.

use anyhow::Result;

use crate::{apt, layout::Layout, libraries, setup, toolchain::Toolchain};

/// Prints what is there.
pub fn report(layout: &Layout) -> Result<()> {
    let toolchain = Toolchain::installed()?;
    line(true, &format!("Rust {}", toolchain.version()?));
    match toolchain.rust_lld() {
        Ok(linker) => line(true, &format!("linker {}", linker.display())),
        Err(error) => line(false, &format!("linker: {error:#}")),
    }
    let wanted = setup::packages();
    let missing = apt::missing(&wanted)?;
    for package in &wanted {
        line(!missing.contains(package), &format!("package {package}"));
    }
    match libraries::prepared(layout, None)? {
        Some((origin, _)) => {
            line(
                true,
                &format!("Rust's libraries for Windows, from {}", origin.name()),
            );
        }
        None => line(
            false,
            "Rust's libraries for Windows: `cargo xtask setup` gets them",
        ),
    }
    for (folder, files) in [
        (
            layout.package(),
            ["tlsgate.sys", "tlsgate.inf", "tlsgate.exe"].as_slice(),
        ),
        (
            layout.modules(),
            &[
                "wdfldr.sys",
                "ksecdd.sys",
                "bcryptprimitives.dll",
                "wrong.sys",
                "probe.exe",
                "handshake.exe",
            ],
        ),
    ] {
        for file in files {
            let path = folder.join(file);
            line(
                path.is_file(),
                &path.strip_prefix(layout.root())?.display().to_string(),
            );
        }
    }
    Ok(())
}

fn line(present: bool, what: &str) {
    println!("{:>9}  {what}", if present { "present" } else { "missing" });
}
