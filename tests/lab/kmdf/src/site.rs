//! Where in the driver memory is asked for: the return addresses in its image, innermost first, and how often
//! there was memory, and none.

use crate::{bind, object::lock, stop::callers};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tlsgate_lab_control::kmdf::Site;

/// Frames of the driver that tell one place from another: generic code that allocates has a few callers in
/// between.
const DEPTH: usize = 4;

static RECORDING: AtomicBool = AtomicBool::new(false);

static SITES: LazyLock<Mutex<HashMap<Vec<usize>, Site>>> = LazyLock::new(Mutex::default);

/// Begins to look at each allocation, from nothing, or ends it: that takes time.
pub fn record(wanted: bool) {
    let was = RECORDING.swap(wanted, Ordering::Relaxed);
    if wanted && !was {
        lock(&SITES).clear();
    }
}

/// Memory is asked for, and is there or not.
pub fn asked(is_there: bool) {
    if !RECORDING.load(Ordering::Relaxed) {
        return;
    }
    let image = bind::image();
    let frames = callers()
        .into_iter()
        .filter(|frame| image.contains(frame))
        .map(|frame| frame - image.start)
        .take(DEPTH)
        .collect();
    let mut sites = lock(&SITES);
    let site: &mut Site = sites.entry(frames).or_default();
    if is_there {
        site.given += 1;
    } else {
        site.refused += 1;
    }
}

/// All so far, by their offsets in the driver's image.
pub fn all() -> BTreeMap<String, Site> {
    let sites = lock(&SITES);
    let named = sites.iter().map(|(frames, site)| {
        let offsets: Vec<_> = frames.iter().map(|at| format!("{at:#x}")).collect();
        (offsets.join(" < "), *site)
    });
    named.collect()
}
