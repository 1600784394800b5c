//! The zip, unpacked by Python: what is in it.

use anyhow::{Context, Result, ensure};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tlsgate_lab_machine::Layout;

/// The zip's name without its ending, which is also that of the folder in it.
pub const NAME: &str = concat!("tlsgate-", env!("CARGO_PKG_VERSION"), "-x64");

/// Everything that is in it.
const FILES: [&str; 10] = [
    "GUIDE.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "install.ps1",
    "tlsgate-test.cer",
    "tlsgate.exe",
    "tlsgate.inf",
    "tlsgate.sys",
    "uninstall.ps1",
    "verify.ps1",
];

/// Unpacks the zip into a folder and gives the folder that was in it.
pub fn unpack(folder: &Path) -> Result<PathBuf> {
    let zip = Layout::of_workspace().package.join(format!("{NAME}.zip"));
    ensure!(
        zip.is_file(),
        "there is no {}: `cargo xtask package` makes it",
        zip.display()
    );
    run(Command::new("python3")
        .args(["-m", "zipfile", "-e"])
        .arg(zip)
        .arg(folder))?;
    Ok(folder.join(NAME))
}

/// Runs a program that must succeed; gives what it said.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(said)
}

#[test]
fn the_zip_has_what_the_guide_says() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let unpacked = unpack(folder.path())?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(&unpacked)? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    assert_eq!(names, FILES.map(str::to_owned).into());
    let guide = fs::read_to_string(unpacked.join("GUIDE.md"))?;
    for name in FILES {
        assert!(
            guide.contains(&format!("`{name}`")) || name == "GUIDE.md",
            "the guide does not say what {name} is"
        );
    }
    // What is not made for the zip is the package's.
    let package = Layout::of_workspace().package;
    for name in ["tlsgate.exe", "tlsgate.inf"] {
        assert!(
            fs::read(unpacked.join(name))? == fs::read(package.join(name))?,
            "{name} is an old one: `cargo xtask package` makes the zip anew"
        );
    }
    Ok(())
}
