//! Handles and references to kernel objects that the driver holds.

use crate::{ffi::Out, layout::NtStatus, object::lock, stop::stop, token};
use std::{
    collections::{HashMap, HashSet},
    sync::{LazyLock, Mutex},
};

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn ObReferenceObjectByHandle(
        handle: usize,
        access: u32,
        kind: usize,
        mode: i8,
        object: *mut usize,
        information: usize,
    ) -> NtStatus;
    fn ObfDereferenceObject(object: usize) -> isize;
    fn ZwClose(handle: usize) -> NtStatus;
}

static HANDLES: LazyLock<Mutex<HashSet<usize>>> = LazyLock::new(Mutex::default);
static REFERENCES: LazyLock<Mutex<HashMap<usize, usize>>> = LazyLock::new(Mutex::default);

/// Handles that are open.
pub fn handles() -> usize {
    lock(&HANDLES).len()
}

/// References that are held.
pub fn references() -> usize {
    lock(&REFERENCES).values().sum()
}

/// The driver was given a handle.
pub fn handle_opened(handle: usize) {
    lock(&HANDLES).insert(handle);
}

/// `ZwClose`
pub fn close(handle: usize) -> NtStatus {
    if !lock(&HANDLES).remove(&handle) {
        stop!("bad-handle", "ZwClose of {handle:#x}, which is not open");
    }
    // SAFETY: an open handle of the driver's.
    unsafe { ZwClose(handle) }
}

/// `ObReferenceObjectByHandle`
pub fn by_handle(
    handle: usize,
    access: u32,
    kind: usize,
    mode: i8,
    result: Out<usize>,
    information: usize,
) -> NtStatus {
    let mut object = 0;
    // SAFETY: as the driver asked, with a place of our own for the result.
    let status = unsafe {
        ObReferenceObjectByHandle(handle, access, kind, mode, &raw mut object, information)
    };
    if status >= 0 {
        *lock(&REFERENCES).entry(object).or_default() += 1;
        result.set(object);
    }
    status
}

/// `ObfDereferenceObject`
pub fn release(object: usize) -> isize {
    if token::Token::is(object) {
        token::dereference_address(object);
        return 0;
    }
    let mut references = lock(&REFERENCES);
    match references.get_mut(&object) {
        Some(count) if *count > 1 => *count -= 1,
        Some(_) => _ = references.remove(&object),
        None => stop!("object-over-dereference", "{object:#x}"),
    }
    drop(references);
    // SAFETY: the driver has referenced it.
    unsafe { ObfDereferenceObject(object) }
}

/// STOPs when something is left.
pub fn check_at_unload() {
    let (handles, references) = (handles(), references());
    if handles > 0 {
        stop!("handle-leak", "{handles} open at unload");
    }
    if references > 0 {
        stop!("object-reference-leak", "{references} held at unload");
    }
}
