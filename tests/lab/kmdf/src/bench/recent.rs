//! The objects that each thread uses all the time: to find them again, it writes nothing that other threads do.

use crate::{
    handle::Handle,
    object::{self, Body, Object},
};
use std::{cell::RefCell, sync::Arc};

/// How many a thread remembers: more than a benchmark's driver has spin locks.
const MOST: usize = 16;

thread_local! {
    static FOUND: RefCell<Vec<(Handle, Arc<Object>)>> = const { RefCell::new(Vec::new()) };
}

/// What `look` makes of the object with this handle, which must be of kind `T` and not deleted. `look` uses no
/// object this way.
pub fn with<T: Body, R>(handle: Handle, look: impl FnOnce(&T) -> R) -> R {
    FOUND.with_borrow_mut(|found| {
        let alive = found
            .iter()
            .find(|(known, _)| *known == handle)
            .and_then(|(_, object)| object.alive::<T>());
        if let Some(object) = alive {
            return look(object);
        }
        let object = object::find::<T>(handle);
        let done = look(&object);
        found.retain(|(known, _)| *known != handle);
        found.truncate(MOST - 1);
        found.insert(0, (handle, object.object()));
        done
    })
}
