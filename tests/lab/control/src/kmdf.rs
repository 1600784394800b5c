//! What can be asked of the KMDF stand-in, `wdfldr.sys`.

#[path = "../../wrong/src/faults.rs"]
pub mod faults;

use crate::Remote;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// The module's name for [`Remote::connect`].
pub const MODULE: &str = "wdfldr";

/// What a test may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// How many of everything there are: answered by [`Answer::Report`].
    Report,
    /// How it is set: answered by [`Answer::Switches`].
    Switches,
    /// Set it: answered by [`Answer::Switches`].
    Set(Switches),
}

/// What the stand-in answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Question::Report`].
    Report(Report),
    /// To [`Question::Switches`] and [`Question::Set`].
    Switches(Switches),
}

/// Where Windows leaves something open, or a test wants an unlikely case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Switches {
    /// Threads that call the driver.
    pub workers: usize,
    /// On the close of a handle, cancel its requests before `EvtFileCleanup`: the I/O manager does
    /// so when the process dies. Otherwise, as for `CloseHandle`, only `EvtFileCleanup` tells the
    /// driver, and the framework cancels nothing but what is still queued.
    pub cancel_before_cleanup: bool,
    /// The IRQL of `EvtRequestCancel` and `EvtTimerFunc`.
    pub callback_irql: CallbackIrql,
    /// The thread of `EvtIoDeviceControl`.
    pub presentation: Presentation,
    /// Whether the caller of an IOCTL impersonates, and how deep.
    pub caller: Caller,
    /// The file name that the next opens carry; Wine cannot pass one.
    pub file_name: String,
    /// Lets this many pool allocations succeed, the one after them fail, and the rest succeed.
    pub fail_allocation_after: Option<u64>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            workers: 4,
            cancel_before_cleanup: false,
            callback_irql: CallbackIrql::Dispatch,
            presentation: Presentation::OtherThread,
            caller: Caller::Primary,
            file_name: String::new(),
            fail_allocation_after: None,
        }
    }
}

/// The IRQL of callbacks that Windows may make at either level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallbackIrql {
    /// Always `PASSIVE_LEVEL`.
    Passive,
    /// `DISPATCH_LEVEL` wherever the driver has not asked for passive execution.
    Dispatch,
    /// The one and the other in turn.
    Alternating,
}

/// The thread that a queue calls the driver on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presentation {
    /// Another than `EvtIoInCallerContext`'s, without the caller's token.
    OtherThread,
    /// The same, from within `WdfDeviceEnqueueRequest`.
    Inline,
}

/// The token of the thread that issues an IOCTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Caller {
    /// The process's primary token.
    Primary,
    /// An impersonation token of this `SECURITY_IMPERSONATION_LEVEL`: 0 anonymous, 1
    /// identification, 2 impersonation, 3 delegation.
    Impersonating(u8),
}

/// Whether a driver is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriverState {
    /// Never loaded, or gone.
    #[default]
    Unloaded,
    /// `DriverEntry` has not returned, or has returned and created a driver object.
    Loaded,
    /// Asked to go; waits for the last handle, or is in `EvtDriverUnload`.
    Unloading,
}

/// How many of everything there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The service's name.
    pub service: String,
    /// Whether the driver is there.
    pub state: DriverState,
    /// Pool blocks of the driver.
    pub pool_blocks: usize,
    /// Bytes in them.
    pub pool_bytes: usize,
    /// The highest that `pool_bytes` ever was.
    pub pool_bytes_peak: usize,
    /// Pool allocations so far.
    pub pool_allocations: u64,
    /// Framework objects of all kinds.
    pub objects: usize,
    /// Of these: open files.
    pub files: usize,
    /// Of these: requests.
    pub requests: usize,
    /// Of these: memory objects.
    pub memory: usize,
    /// Of these: spin locks.
    pub spin_locks: usize,
    /// Of these: timers.
    pub timers: usize,
    /// Of these: work items.
    pub work_items: usize,
    /// System threads of the driver that run.
    pub threads: usize,
    /// References to tokens.
    pub tokens: usize,
    /// Handles of the driver that are open.
    pub handles: usize,
    /// References to kernel objects.
    pub references: usize,
    /// IOCTLs that arrived.
    pub ioctls: u64,
    /// IOCTLs that were completed.
    pub completions: u64,
    /// Calls of `EvtRequestCancel`.
    pub cancellations: u64,
}

/// Asks the stand-in how many of everything there are.
///
/// # Errors
///
/// It went away.
pub fn report(remote: &mut Remote) -> Result<Report> {
    match remote.ask(&Question::Report)? {
        Answer::Report(report) => Ok(report),
        Answer::Switches(_) => bail!("a report was asked for"),
    }
}

/// Sets the stand-in's switches.
///
/// # Errors
///
/// It went away.
pub fn set(remote: &mut Remote, switches: &Switches) -> Result<()> {
    match remote.ask(&Question::Set(switches.clone()))? {
        Answer::Switches(_) => Ok(()),
        Answer::Report(_) => bail!("switches were set"),
    }
}
