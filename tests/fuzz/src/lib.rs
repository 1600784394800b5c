//! What holds of the driver's decoder and policy for any bytes and any order of events.
//!
//! Each [`Target`] is a function of bytes that panics when something does not hold: `libfuzzer/` runs
//! them under cargo-fuzz, `tests/properties.rs` on any toolchain. The policy is held against a model that
//! is written for clarity alone, in vectors and maps, or against a crate that nobody here wrote.

mod calls;
mod certificates;
mod decode;
mod dictionary;
mod event;
mod exports;
mod leg;
mod limits;
mod queue;
mod record;
mod sddl;
mod sealing;
mod settings;
mod table;
mod unsealing;
mod usage;
mod wheel;

use arbitrary::{Arbitrary, Unstructured};

/// Something that holds for any bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of its folders in `corpus` and `regressions`, too.
    pub name: &'static str,
    /// Panics when it does not hold.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident)+) => {
        /// All of them.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $name::run },)+];
    };
}

targets! {
    calls certificates decode event exports leg limits queue record sddl sealing settings table unsealing
    usage wheel
}

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

/// Makes steps of the bytes until they are used up.
fn steps<'a, T: Arbitrary<'a>>(bytes: &mut Unstructured<'a>, mut take: impl FnMut(T)) {
    while !bytes.is_empty() {
        // What is left at the end may be too short for one.
        let Ok(step) = bytes.arbitrary() else { return };
        take(step);
    }
}
