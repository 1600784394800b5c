//! `cargo xtask package`: what a user takes to a test machine, in one zip file.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use crate::{
    layout::Layout,
    sign,
    step::{Step, Steps},
};

/// What is in the zip as it is in the work tree: its name there, its path here.
const FILES: [(&str, &str); 8] = [
    ("GUIDE.md", "inf/GUIDE.md"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("install.ps1", "inf/install.ps1"),
    ("tlsgate.exe", "target/package/tlsgate.exe"),
    ("tlsgate.inf", "target/package/tlsgate.inf"),
    ("uninstall.ps1", "inf/uninstall.ps1"),
    ("verify.ps1", "inf/verify.ps1"),
];

/// Signs the built driver and makes `target/package/tlsgate-VERSION-x64.zip`. The package's own
/// `tlsgate.sys` stays as it was built: that build is reproducible, a signature is not.
pub fn make(layout: &Layout, steps: &Steps) -> Result<()> {
    steps.step("sign the driver for tests, make the zip", |step| {
        let place = signed_zip(layout, step)?;
        step.note(&place.strip_prefix(layout.root())?.display().to_string());
        Ok(())
    })
}

fn signed_zip(layout: &Layout, step: &Step) -> Result<PathBuf> {
    let folder = tempfile::tempdir()?;
    let signed = sign::sign(&layout.package().join("tlsgate.sys"), folder.path(), step)?;
    let mut files: Vec<(&str, PathBuf)> = FILES
        .iter()
        .map(|(name, path)| (*name, layout.root().join(path)))
        .collect();
    files.push(("tlsgate.sys", signed.driver));
    files.push(("tlsgate-test.cer", signed.certificate));
    files.sort();

    let name = concat!("tlsgate-", env!("CARGO_PKG_VERSION"), "-x64");
    let place = layout.package().join(format!("{name}.zip"));
    // A zip that is half written must not be taken for one.
    let unfinished = folder.path().join("zip");
    write(&files, name, File::create(&unfinished)?)?;
    fs::copy(&unfinished, &place)?;
    Ok(place)
}

/// Writes the files into one folder of the zip, in the order given. No time of day goes into it.
fn write(files: &[(&str, PathBuf)], folder: &str, place: impl io::Write + io::Seek) -> Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::DEFAULT)
        .unix_permissions(0o644);
    let mut zip = ZipWriter::new(place);
    for (name, path) in files {
        zip.start_file(format!("{folder}/{name}"), options)?;
        zip.write_all(&read(path)?)?;
    }
    zip.finish()?;
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn the_same_files_make_the_same_zip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let zip = |modified: u64| {
            fs::write(&path, "the same").unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(modified);
            File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(time)
                .unwrap();
            let mut bytes = Vec::new();
            let files = [("a.txt", path.clone()), ("b.txt", path.clone())];
            write(&files, "folder", Cursor::new(&mut bytes)).unwrap();
            bytes
        };
        assert_eq!(zip(1_000_000_000), zip(1_500_000_000));
    }
}
