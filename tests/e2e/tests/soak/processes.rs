//! Memory, open files and threads of the machine's processes, as Linux tells them.

use anyhow::{Context, Result};
use std::{fs, path::Path};

/// One process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Resident memory, in KiB.
    pub resident: u64,
    /// Open files: of Wine's server, all that the machine's programs have open.
    pub files: u64,
    /// Its threads.
    pub threads: u64,
}

/// Looks at a process.
pub fn look(id: u32) -> Result<Process> {
    let folder = Path::new("/proc").join(id.to_string());
    let status = fs::read_to_string(folder.join("status")).context("a process is gone")?;
    let number = |name: &str| -> Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|line| line.split_whitespace().next());
        let word = word.with_context(|| format!("no {name} of process {id}"))?;
        Ok(word.parse()?)
    };
    let files = fs::read_dir(folder.join("fd")).context("its open files")?;
    Ok(Process {
        resident: number("VmRSS:")?,
        files: u64::try_from(files.count())?,
        threads: number("Threads:")?,
    })
}

/// The processes of the machine with this disk that run this program, oldest first.
pub fn running(prefix: &Path, program: &str) -> Result<Vec<u32>> {
    let wanted = format!("WINEPREFIX={}", prefix.display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // What ends meanwhile, or is another user's, is none of ours.
        let read = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
        let first = read("cmdline");
        let first = first.split(|byte| *byte == 0).next().unwrap_or_default();
        let is_it = String::from_utf8_lossy(first).contains(program)
            && read("environ")
                .split(|byte| *byte == 0)
                .any(|variable| variable == wanted.as_bytes());
        if is_it {
            found.push(id);
        }
    }
    found.sort_unstable();
    Ok(found)
}
