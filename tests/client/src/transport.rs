//! What carries an IOCTL to the driver and its reply back.

use std::pin::Pin;
use tlsgate_protocol::NtStatus;

/// The reply to one IOCTL: the output bytes, or the `NTSTATUS` that refused it.
pub type Reply = Pin<Box<dyn Future<Output = Result<Vec<u8>, NtStatus>> + Send>>;

/// Undoes what an IOCTL has made although its future was dropped; gets the output.
pub type Unclaimed = Box<dyn FnOnce(&[u8]) + Send>;

/// An open handle of the driver, or what stands in for it in tests.
pub trait Transport: Send + Sync + 'static {
    /// Issues one IOCTL at once, before the future is first polled. Dropping the future cancels the
    /// IOCTL; when it is done all the same, because it was too late for that, `unclaimed` gets its
    /// output, on any thread. It is not called for one that was refused or cancelled.
    fn ioctl(
        &self,
        code: u32,
        input: Vec<u8>,
        output_length: usize,
        unclaimed: Option<Unclaimed>,
    ) -> Reply;

    /// Issues one IOCTL whose reply nobody waits for; nothing cancels it.
    fn post(&self, code: u32, input: Vec<u8>, output_length: usize);
}
