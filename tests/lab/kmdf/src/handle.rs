//! WDF handles: numbers that say their kind and are never used twice, so that a freed handle is
//! told from one that never was. As addresses they are invalid on x64, so nobody reads through one.

use std::sync::atomic::{AtomicU64, Ordering};

/// The upper bits of every handle.
const MARK: u64 = 0x5744 << 48;
/// Where the kind stands.
const KIND_SHIFT: u32 = 40;
/// KMDF uses the three lowest bits of a handle for itself.
const NUMBER_SHIFT: u32 = 3;

/// What a driver knows an object by: `WDFOBJECT` and its special forms. 0 is NULL.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct Handle(pub u64);

/// The kinds of framework objects that are here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Driver = 1,
    Device,
    Queue,
    Request,
    File,
    SpinLock,
    Lookaside,
    Memory,
    Timer,
    WorkItem,
    Key,
    General,
}

impl Kind {
    const ALL: [Self; 12] = [
        Self::Driver,
        Self::Device,
        Self::Queue,
        Self::Request,
        Self::File,
        Self::SpinLock,
        Self::Lookaside,
        Self::Memory,
        Self::Timer,
        Self::WorkItem,
        Self::Key,
        Self::General,
    ];
}

static NEXT: AtomicU64 = AtomicU64::new(1);

impl Handle {
    /// `NULL`
    pub const NONE: Self = Self(0);

    /// A new handle.
    pub fn new(kind: Kind) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(MARK | (kind as u64) << KIND_SHIFT | number << NUMBER_SHIFT)
    }

    /// Whether it says this kind, which an object's own handle says rightly.
    #[cfg(feature = "bench")]
    pub fn is_of(self, kind: Kind) -> bool {
        self.0 >> KIND_SHIFT == (MARK | (kind as u64) << KIND_SHIFT) >> KIND_SHIFT
    }

    /// The kind it was made for; `None` when it never was a handle.
    pub fn kind(self) -> Option<Kind> {
        if self.0 >> 48 != MARK >> 48 {
            return None;
        }
        let number = self.number();
        Kind::ALL.into_iter().find(|&kind| {
            self.0 == MARK | (kind as u64) << KIND_SHIFT | number << NUMBER_SHIFT
                && number != 0
                && number < NEXT.load(Ordering::Relaxed)
        })
    }

    /// What tells it from all others, and later ones from earlier ones.
    pub fn number(self) -> u64 {
        (self.0 & ((1 << KIND_SHIFT) - 1)) >> NUMBER_SHIFT
    }

    /// `None` for `NULL`.
    pub fn given(self) -> Option<Self> {
        (self != Self::NONE).then_some(self)
    }
}
