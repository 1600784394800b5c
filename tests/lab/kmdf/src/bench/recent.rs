//! The objects that each thread uses all the time, and the request it carries: to find them again, it writes nothing
//! that other threads do.

use crate::{
    handle::{Handle, Kind},
    mine::Mine,
    object::{self, Object},
};
use std::{cell::RefCell, sync::Arc};

/// How many a thread remembers beside the request: more than a benchmark's driver has spin locks.
const MOST: usize = 16;

/// What a thread has found.
#[derive(Default)]
struct Found {
    /// A thread carries one at a time, and most never come back.
    request: Option<Arc<Object>>,
    others: Vec<Arc<Object>>,
}

static FOUND: Mine<RefCell<Found>> = Mine::new(RefCell::default);

impl Found {
    /// The object with this handle, if it is remembered and not deleted.
    fn get(&self, handle: Handle) -> Option<&Arc<Object>> {
        let found = self.request.iter().chain(&self.others);
        found
            .into_iter()
            .find(|object| object.handle == handle)
            .filter(|object| !object.is_deleted())
    }

    fn keep(&mut self, object: Arc<Object>) {
        if object.handle.is_of(Kind::Request) {
            self.request = Some(object);
            return;
        }
        self.others.retain(|known| known.handle != object.handle);
        self.others.truncate(MOST - 1);
        self.others.insert(0, object);
    }
}

/// The object with this handle, of any kind, deleted or not as long as a reference keeps it.
pub fn any(handle: Handle) -> Arc<Object> {
    let mut found = FOUND.get().borrow_mut();
    if let Some(object) = found.get(handle) {
        return Arc::clone(object);
    }
    let object = object::look_up(handle);
    found.keep(Arc::clone(&object));
    object
}

/// What `look` makes of that object. It uses no object by its handle.
pub fn with_any<R>(handle: Handle, look: impl FnOnce(&Object) -> R) -> R {
    let mut found = FOUND.get().borrow_mut();
    if let Some(object) = found.get(handle) {
        return look(object);
    }
    let object = object::look_up(handle);
    let done = look(&object);
    found.keep(object);
    done
}

/// This thread has made a request, and will be asked for it.
pub fn made(request: Arc<Object>) {
    FOUND.get().borrow_mut().keep(request);
}
