//! The completion port that every handle of this process answers to, and its thread.

use super::operation::Block;
use std::{
    io,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle, RawHandle},
    ptr,
    sync::LazyLock,
    thread,
};
use windows_sys::Win32::{
    Foundation::INVALID_HANDLE_VALUE,
    System::{
        IO::{CreateIoCompletionPort, GetQueuedCompletionStatus, OVERLAPPED},
        Threading::INFINITE,
    },
};

/// One for the process and never closed, so that an operation that outlives its handle still finds
/// somebody who frees its buffers.
static PORT: LazyLock<io::Result<OwnedHandle>> = LazyLock::new(start);

/// Makes the packets of this handle come here.
pub fn associate(file: RawHandle) -> io::Result<()> {
    let port = PORT
        .as_ref()
        .map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
    // SAFETY: both handles are open.
    let same = unsafe { CreateIoCompletionPort(file, port.as_raw_handle(), 0, 0) };
    if same.is_null() {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn start() -> io::Result<OwnedHandle> {
    // SAFETY: without a file and a port it makes a new port.
    let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, 1) };
    if port.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it has just been made and nobody else owns it.
    let port = unsafe { OwnedHandle::from_raw_handle(port) };
    let queue = port.try_clone()?;
    thread::Builder::new()
        .name("tlsgate completions".into())
        .spawn(move || {
            loop {
                take(&queue);
            }
        })?;
    Ok(port)
}

/// Waits for one packet and finishes the operation that it is about.
fn take(port: &OwnedHandle) {
    let (mut bytes, mut key) = (0, 0);
    let mut overlapped: *mut OVERLAPPED = ptr::null_mut();
    // SAFETY: the port is open and the three outputs are valid.
    let taken = unsafe {
        GetQueuedCompletionStatus(
            port.as_raw_handle(),
            &raw mut bytes,
            &raw mut key,
            &raw mut overlapped,
            INFINITE,
        )
    };
    // "Not taken" with a packet means that the operation failed: the block holds its status.
    if overlapped.is_null() {
        let error = io::Error::last_os_error();
        assert!(taken != 0, "the completion port is broken: {error}");
        return;
    }
    // SAFETY: only handles of this module are associated with the port, and only operations issued
    // by it are made on them.
    unsafe { Block::finish(overlapped) };
}
