//! Handles that tell nothing and are never given out twice.

use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, PoisonError};
use windows_sys::Win32::Security::Credentials::SecHandle;

/// The upper bits of every handle and async context pointer: no canonical x64 address has them, so
/// that a driver which follows one faults at once.
const NO_ADDRESS: usize = 0x5EC0_0000_0000_0000;

/// Things by their numbers. A number is never used again, so what is gone stays gone.
pub struct Table<T> {
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    last: usize,
    live: FxHashMap<usize, Arc<T>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            inner: Mutex::new(Inner {
                last: 0,
                live: FxHashMap::default(),
            }),
        }
    }
}

impl<T> Table<T> {
    /// Keeps what `make` makes for the new number.
    pub fn insert(&self, make: impl FnOnce(usize) -> T) -> Arc<T> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.last += 1;
        let id = inner.last;
        let new = Arc::new(make(id));
        inner.live.insert(id, Arc::clone(&new));
        new
    }

    /// What has the number `id`.
    pub fn get(&self, id: usize) -> Option<Arc<T>> {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .live
            .get(&id)
            .cloned()
    }

    /// Forgets what has the number `id`.
    pub fn remove(&self, id: usize) -> Option<Arc<T>> {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .live
            .remove(&id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .live
            .len()
    }
}

/// The opaque pointer for the number `id`.
pub fn pointer(id: usize) -> usize {
    NO_ADDRESS | (id << 4)
}

/// The number behind an opaque pointer.
pub fn id_of_pointer(pointer: usize) -> Option<usize> {
    (pointer & 0xFFFF_0000_0000_000F == NO_ADDRESS).then_some((pointer & !NO_ADDRESS) >> 4)
}

/// The 16-byte handle for the number `id` of one kind of thing.
pub fn handle(kind: Kind, id: usize) -> SecHandle {
    SecHandle {
        dwLower: pointer(id),
        dwUpper: NO_ADDRESS | kind as usize,
    }
}

/// The number behind a handle of that kind.
pub fn id_of_handle(kind: Kind, handle: SecHandle) -> Option<usize> {
    id_of_pointer(handle.dwLower).filter(|_| handle.dwUpper == NO_ADDRESS | kind as usize)
}

/// What a handle stands for.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A credential.
    Credential = 0xC4ED,
    /// A security context.
    Context = 0xC097,
}
