//! The host: how many machines may be on at a time, and which of them a run gets.

use crate::Layout;
use anyhow::{Context, Result};
use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// How often a run that waits for a machine looks whether one is off.
const INTERVAL: Duration = Duration::from_millis(100);

/// A machine's disk, for this run alone.
pub struct Disk {
    /// The Wine prefix.
    pub prefix: PathBuf,
    /// Let go when the run is over: that of the disk, and, for a run that wants to be alone, those of the
    /// others.
    pub locks: Vec<File>,
}

/// The first machine that is off, or else the one that is switched off first.
pub fn any(layout: &Layout, progress: &mut dyn FnMut(&str)) -> Result<Disk> {
    let prefixes = layout.prefixes();
    let mut waits = false;
    loop {
        for prefix in &prefixes {
            if let Some(lock) = try_lock(prefix)? {
                return Ok(Disk {
                    prefix: prefix.clone(),
                    locks: vec![lock],
                });
            }
        }
        if !waits {
            progress("waiting for another run to power a machine off");
            waits = true;
        }
        thread::sleep(INTERVAL);
    }
}

/// The first machine, once all are off; none is on beside it. For runs that measure the host's time or
/// threads.
pub fn alone(layout: &Layout, progress: &mut dyn FnMut(&str)) -> Result<Disk> {
    let mut locks = Vec::new();
    // In the order of the prefixes: two runs that want to be alone wait for each other at the first.
    for prefix in layout.prefixes() {
        let lock = if let Some(lock) = try_lock(&prefix)? {
            lock
        } else {
            progress("waiting for other runs to power their machines off");
            let file = open(&prefix)?;
            file.lock()?;
            file
        };
        locks.push(lock);
    }
    Ok(Disk {
        prefix: layout.prefix.clone(),
        locks,
    })
}

fn try_lock(prefix: &Path) -> Result<Option<File>> {
    let file = open(prefix)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking {}", prefix.display()))
        }
    }
}

fn open(prefix: &Path) -> Result<File> {
    let folder = prefix.parent().context("the prefix has no folder")?;
    fs::create_dir_all(folder)?;
    let path = prefix.with_extension("lock");
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(folder: &Path) -> Layout {
        Layout {
            prefix: folder.join("prefix"),
            machines: 2,
            modules: PathBuf::new(),
            stand_ins: None,
            package: PathBuf::new(),
            requests: None,
        }
    }

    #[test]
    fn each_run_gets_a_machine_of_its_own_and_the_third_waits() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path());
        let first = any(&layout, &mut |_| {}).unwrap();
        let second = any(&layout, &mut |_| {}).unwrap();
        assert_eq!(first.prefix, layout.prefix);
        assert_ne!(second.prefix, layout.prefix);
        let freed = first.prefix.clone();
        let mut first = Some(first);
        // What it says while it waits is the moment to let one go.
        let third = any(&layout, &mut |_| drop(first.take())).unwrap();
        assert_eq!(third.prefix, freed);
    }

    #[test]
    fn a_run_that_wants_to_be_alone_waits_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path());
        let mut others: Vec<_> = (0..2).map(|_| any(&layout, &mut |_| {}).unwrap()).collect();
        let mut waited = 0;
        let alone = alone(&layout, &mut |_| {
            waited += 1;
            others.remove(0);
        })
        .unwrap();
        assert_eq!((waited, others.len(), alone.locks.len()), (2, 0, 2));
        for prefix in layout.prefixes() {
            assert!(try_lock(&prefix).unwrap().is_none());
        }
    }
}
