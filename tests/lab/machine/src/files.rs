//! Putting files on the machine.

use anyhow::{Context, Result};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Copies a file unless the same bytes are there already; says whether it did.
pub fn place(source: &Path, target: &Path) -> Result<bool> {
    let bytes = fs::read(source).with_context(|| format!("no {}", source.display()))?;
    match fs::read(target) {
        Ok(present) if present == bytes => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("reading {}", target.display())),
    }
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    // Removed first: Wine's own modules may be links into its installation.
    remove(target)?;
    fs::write(target, bytes).with_context(|| format!("writing {}", target.display()))?;
    Ok(true)
}

/// The files of a folder, in order.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("no folder {}", folder.display()))? {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Removes a file that may not be there.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// What a file holds; nothing if it is not there.
pub fn read_if_present(path: &Path) -> Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("a"), folder.path().join("new").join("b"));
        fs::write(&source, "one").unwrap();
        assert!(place(&source, &target).unwrap());
        assert!(!place(&source, &target).unwrap());
        fs::write(&source, "two").unwrap();
        assert!(place(&source, &target).unwrap());
        assert_eq!(read_if_present(&target).unwrap(), "two");
    }

    #[test]
    fn a_link_is_replaced_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let [source, original, link] = ["a", "b", "c"].map(|name| folder.path().join(name));
        fs::write(&source, "ours").unwrap();
        fs::write(&original, "theirs").unwrap();
        std::os::unix::fs::symlink(&original, &link).unwrap();
        assert!(place(&source, &link).unwrap());
        assert_eq!(read_if_present(&original).unwrap(), "theirs");
    }
}
