//! Requests as they came, for the fuzzers' corpus: kept as files in `C:\lab\requests` if there is such a folder
//! when a driver is loaded.
//!
//! A file has the control code, the room for output, both in 32 bits, and the input. Of the requests with the same
//! code and about as much input and room only the first are kept.

use crate::{object::lock, stop::lab_failed};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process,
    sync::Mutex,
};
use tlsgate_lab_control::{FOLDER, kmdf::REQUESTS};

/// Longest input that is kept.
const LONGEST: usize = 2000;
/// How many are kept of a kind.
const OF_A_KIND: u32 = 2;

/// A control code, and how many bits the lengths of input and room have.
type Kind = (u32, u32, u32);

/// How many of each kind are kept so far.
static KEPT: Mutex<Option<HashMap<Kind, u32>>> = Mutex::new(None);

fn folder() -> PathBuf {
    Path::new(FOLDER).join(REQUESTS)
}

/// A driver is being loaded: from now on its requests are kept, if anybody wants them.
pub fn begin() {
    *lock(&KEPT) = folder().is_dir().then(HashMap::new);
}

/// A request has arrived.
pub fn keep(code: u32, room: u32, input: &[u8]) {
    let number = {
        let mut kept = lock(&KEPT);
        let Some(kept) = kept.as_mut() else { return };
        let bits = |length: usize| usize::BITS - length.leading_zeros();
        let kind = (code, bits(input.len()), bits(room as usize));
        let count = kept.entry(kind).or_default();
        if input.len() > LONGEST || *count >= OF_A_KIND {
            return;
        }
        *count += 1;
        *count
    };
    let bytes = [&code.to_le_bytes()[..], &room.to_le_bytes(), input].concat();
    // Each loaded driver has a process of its own.
    let name = format!(
        "{code:08x}-{}-{room}-{}-{number}",
        input.len(),
        process::id()
    );
    if let Err(error) = fs::write(folder().join(&name), bytes) {
        lab_failed!("{name}: {error}");
    }
}
