//! The device `\\.\TlsGate`, opened for overlapped I/O: one IOCTL is one future.

mod operation;
mod port;

pub use operation::{Canceller, Operation};

use crate::{Driver, Error, Reply, Transport, Unclaimed};
use std::{
    fs::{File, OpenOptions},
    io,
    os::windows::{fs::OpenOptionsExt, io::AsRawHandle},
    sync::Arc,
};
use tlsgate_protocol::DEVICE_PATH;
use windows_sys::Win32::Storage::FileSystem::FILE_FLAG_OVERLAPPED;

/// An open handle of the device. Clones share it; the last one closes it, and with it everything
/// that was made on it.
#[derive(Clone, Debug)]
pub struct Device {
    file: Arc<File>,
}

impl Device {
    /// Opens the device for everything it can do.
    ///
    /// # Errors
    ///
    /// The driver is not running, or this account may not use it.
    pub fn open() -> Result<Self, Error> {
        Self::open_path(DEVICE_PATH, true).map_err(Error::Open)
    }

    /// Opens any path that leads to the device, with or without the right to change anything.
    ///
    /// # Errors
    ///
    /// What Windows says to that.
    pub fn open_path(path: &str, write: bool) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(write)
            .custom_flags(FILE_FLAG_OVERLAPPED)
            .open(path)?;
        port::associate(file.as_raw_handle())?;
        Ok(Self {
            file: Arc::new(file),
        })
    }

    /// Issues any IOCTL with any bytes, at once.
    pub fn issue(&self, code: u32, input: Vec<u8>, output_length: usize) -> Operation {
        Operation::issue(&self.file, code, input, output_length)
    }

    /// The typed functions on this handle.
    #[must_use]
    pub fn driver(&self) -> Driver {
        Driver::new(self.clone())
    }
}

impl Transport for Device {
    fn ioctl(
        &self,
        code: u32,
        input: Vec<u8>,
        output_length: usize,
        unclaimed: Option<Unclaimed>,
    ) -> Reply {
        let operation = self.issue(code, input, output_length);
        Box::pin(operation.with_unclaimed(unclaimed))
    }

    fn post(&self, code: u32, input: Vec<u8>, output_length: usize) {
        self.issue(code, input, output_length).detach();
    }
}
