//! What carries an IOCTL to the driver and its reply back.

use std::pin::Pin;
use tlsgate_protocol::NtStatus;

/// The reply to one IOCTL: the output bytes, or the `NTSTATUS` that refused it.
pub type Reply = Pin<Box<dyn Future<Output = Result<Vec<u8>, NtStatus>> + Send>>;

/// An open handle of the driver, or what stands in for it in tests.
pub trait Transport: Send + Sync + 'static {
    /// Issues one IOCTL at once, before the future is first polled. Dropping the future cancels the
    /// IOCTL.
    fn ioctl(&self, code: u32, input: Vec<u8>, output_length: usize) -> Reply;

    /// Issues one IOCTL whose reply nobody waits for; nothing cancels it.
    fn post(&self, code: u32, input: Vec<u8>, output_length: usize);
}
