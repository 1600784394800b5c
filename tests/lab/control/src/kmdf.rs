//! What can be asked of the KMDF stand-in, `wdfldr.sys`.

#[path = "../../wrong/src/faults.rs"]
pub mod faults;

use crate::Remote;
pub use crate::account::Account;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The module's name for [`Remote::connect`].
pub const MODULE: &str = "wdfldr";

/// The file in [`crate::FOLDER`] with the [`Switches`] to begin with, as JSON, if a test has put one there:
/// for what happens before a driver that is being loaded can be asked anything.
pub const FIRST_SWITCHES: &str = "wdfldr.switches.json";

/// The file in [`crate::FOLDER`] that gets each [`Event`] as a line of JSON, for what happens before a
/// driver can be asked, or after.
pub const EVENT_LOG: &str = "events.log";

/// The folder in [`crate::FOLDER`] that gets requests as they came, if it is there when a driver is loaded: see
/// `tests/lab/kmdf/src/recorder.rs`.
pub const REQUESTS: &str = "requests";

/// What a test may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// How many of everything there are: answered by [`Answer::Report`].
    Report,
    /// How it is set: answered by [`Answer::Switches`].
    Switches,
    /// Set it: answered by [`Answer::Switches`].
    Set(Switches),
    /// Let time pass at once: both interrupt times advance, and timers and relative time-outs that end
    /// within become due. Answered by [`Answer::Time`].
    AdvanceTime {
        /// How much, in milliseconds.
        milliseconds: u64,
    },
    /// Let the machine have slept: interrupt time advances, unbiased interrupt time does not, nor do timers
    /// and relative time-outs (as of Windows 8, say the pages of `KeWaitForSingleObject` and
    /// `KeSetTimer`). Answered by [`Answer::Time`].
    Sleep {
        /// How long, in milliseconds.
        milliseconds: u64,
    },
    /// The events of the driver that were recorded after the one of this number (0: all): answered by
    /// [`Answer::Events`].
    Events {
        /// The number of the last event that is known already.
        after: u64,
    },
    /// Where in the driver memory was asked for while [`Switches::record_sites`] was on: answered by
    /// [`Answer::Sites`].
    Sites,
    /// Where these bytes lie in what the driver has, and in what is remembered of what it has given back
    /// ([`Switches::remember_freed`]): answered by [`Answer::Found`].
    Search {
        /// Not empty.
        needle: Vec<u8>,
    },
    /// Run a scenario of `tlsgate-bench` in the driver's process, which may take minutes ([`Remote::wait_up_to`]).
    /// Only a stand-in that is built for measuring does. Answered by [`Answer::Bench`].
    Bench {
        /// Its name.
        scenario: String,
        /// The `Site`, as JSON.
        site: String,
        /// The `Effort`, as JSON.
        effort: String,
    },
}

/// What the stand-in answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Question::Report`].
    Report(Report),
    /// To [`Question::Switches`] and [`Question::Set`].
    Switches(Switches),
    /// To [`Question::AdvanceTime`] and [`Question::Sleep`]: what it is now, in units of 100 ns.
    Time {
        /// Interrupt time.
        interrupt: u64,
        /// Unbiased interrupt time.
        unbiased: u64,
    },
    /// To [`Question::Events`]: in order. The oldest are gone when there were very many.
    Events(Vec<Event>),
    /// To [`Question::Sites`]: by the return addresses in the driver's image, innermost first, as offsets.
    Sites(BTreeMap<String, Site>),
    /// To [`Question::Search`].
    Found(Found),
    /// To [`Question::Bench`]: the `Results`, as JSON.
    Bench(String),
}

/// In how many places of each kind something was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Blocks of pool, memory objects and contexts that the driver has.
    pub live: usize,
    /// System buffers of requests that are not completed.
    pub buffers: usize,
    /// Blocks that it has freed, as they were at that moment.
    pub freed: usize,
    /// System buffers as they were when their request was completed, the reply left out.
    pub completed: usize,
    /// Blocks and system buffers that are remembered.
    pub remembered: usize,
    /// Those that were forgotten again for want of room: what was in them is not known.
    pub forgotten: usize,
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
    /// Who the callers of opens and IOCTLs are.
    pub account: Account,
    /// Who those of some processes are instead, by the process's id.
    pub accounts: BTreeMap<u32, Account>,
    /// The file name that the next opens carry; Wine cannot pass one.
    pub file_name: String,
    /// Lets this many pool allocations succeed, the one after them fail, and the rest succeed.
    pub fail_allocation_after: Option<u64>,
    /// Lets one in so many pool allocations fail, drawn by a generator: its seed, and one in how many.
    pub fail_one_in: Option<(u64, u32)>,
    /// Look where in the driver memory is asked for; see [`Question::Sites`].
    pub record_sites: bool,
    /// `WdfDriverOpenParametersRegistryKey` makes the key when there is none: the framework's published source
    /// does (`fxdriverapikm.cpp`), its reference page does not say so.
    pub makes_parameters_key: bool,
    /// How many entries each look-aside list of the kernel's keeps: "the system" decides, and changes it at any
    /// time (`ExFreeToLookasideListEx`'s page).
    pub lookaside_depth: u16,
    /// Who listens to the driver's ETW provider, if anybody does.
    pub trace: Option<Trace>,
    /// How many bytes of what the driver gives back are remembered, for [`Question::Search`].
    pub remember_freed: usize,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            workers: 4,
            cancel_before_cleanup: false,
            callback_irql: CallbackIrql::Dispatch,
            presentation: Presentation::OtherThread,
            caller: Caller::Primary,
            account: Account::Administrator,
            accounts: BTreeMap::new(),
            file_name: String::new(),
            fail_allocation_after: None,
            fail_one_in: None,
            record_sites: false,
            makes_parameters_key: true,
            lookaside_depth: 0,
            trace: None,
            remember_freed: 0,
        }
    }
}

impl Switches {
    /// Where Windows leaves something open, in a round of [`crate::ksecdd::Switches::rounds`]: the
    /// rounds together have every setting that a driver must bear all the time.
    #[must_use]
    pub fn of_round(name: &str) -> Self {
        match name {
            "round-1" => Self {
                cancel_before_cleanup: true,
                callback_irql: CallbackIrql::Passive,
                presentation: Presentation::Inline,
                makes_parameters_key: false,
                lookaside_depth: 4,
                ..Self::default()
            },
            "round-2" => Self {
                workers: 1,
                callback_irql: CallbackIrql::Alternating,
                lookaside_depth: 256,
                ..Self::default()
            },
            _ => Self::default(),
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

/// What a trace session wants of a provider: the parameters of `EnableTraceEx2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The highest level: 1 critical, 2 error, 3 warning, 4 information, 5 verbose.
    pub level: u8,
    /// Keywords of which an event must have one; 0 for any.
    pub any: u64,
    /// Keywords of which an event must have each.
    pub all: u64,
}

impl Trace {
    /// Everything.
    pub const EVERYTHING: Self = Self {
        level: u8::MAX,
        any: 0,
        all: 0,
    };
}

/// An event that the driver has written while somebody listened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counted from 1.
    pub number: u64,
    /// The provider's name.
    pub provider: String,
    /// The provider's identifier, as it is usually written.
    pub identifier: String,
    /// The event's name.
    pub name: String,
    /// Its level.
    pub level: u8,
    /// Its keywords.
    pub keyword: u64,
    /// The IRQL at which it was written.
    pub irql: u8,
    /// Its fields by name.
    pub fields: BTreeMap<String, Value>,
}

/// The value of an event's field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// A number without sign, or one that is shown in hexadecimal, such as a status.
    Unsigned(u64),
    /// A number with a sign.
    Signed(i64),
    /// A text.
    Text(String),
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
    /// How often a look-aside list of the kernel's had no entry, and one was allocated for it.
    pub entry_allocations: u64,
    /// Pool allocations that were made to fail so far, those for framework objects included.
    pub allocations_refused: u64,
    /// Framework objects of all kinds.
    pub objects: usize,
    /// Of these: open files.
    pub files: usize,
    /// Of these: requests.
    pub requests: usize,
    /// Of these: memory objects; and entries of the kernel's look-aside lists, which are no objects.
    pub memory: usize,
    /// Bytes that the driver has asked for in them; what the framework or the pool adds is not counted.
    pub memory_bytes: usize,
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
    /// Opens that the device's security descriptor has denied.
    pub denials: u64,
    /// ETW providers that are registered.
    pub providers: usize,
    /// Calls of `EtwWriteTransfer`, heard or not.
    pub event_writes: u64,
    /// The deepest that each entry into the driver has gone into the stack, in bytes.
    pub stack: BTreeMap<String, usize>,
}

/// The service that commits a fault.
#[must_use]
pub fn service(fault: faults::Fault) -> String {
    format!("{}{}", faults::SERVICE_NAME, fault as u32)
}

/// A place in the driver that asks for memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// How often there was memory.
    pub given: u64,
    /// How often there was made to be none.
    pub refused: u64,
}

/// Asks the stand-in how many of everything there are.
///
/// # Errors
///
/// It went away.
pub fn report(remote: &mut Remote) -> Result<Report> {
    match remote.ask(&Question::Report)? {
        Answer::Report(report) => Ok(report),
        other => bail!("not a report: {other:?}"),
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
        other => bail!("not the switches: {other:?}"),
    }
}

/// Asks for the driver's events after the one of number `after`.
///
/// # Errors
///
/// It went away.
pub fn events(remote: &mut Remote, after: u64) -> Result<Vec<Event>> {
    match remote.ask(&Question::Events { after })? {
        Answer::Events(events) => Ok(events),
        other => bail!("not the events: {other:?}"),
    }
}

/// Asks where these bytes lie.
///
/// # Errors
///
/// It went away.
pub fn search(remote: &mut Remote, needle: &[u8]) -> Result<Found> {
    let needle = needle.to_vec();
    match remote.ask(&Question::Search { needle })? {
        Answer::Found(found) => Ok(found),
        other => bail!("not what was found: {other:?}"),
    }
}

/// Lets so many milliseconds pass at once.
///
/// # Errors
///
/// It went away.
pub fn advance_time(remote: &mut Remote, milliseconds: u64) -> Result<()> {
    match remote.ask(&Question::AdvanceTime { milliseconds })? {
        Answer::Time { .. } => Ok(()),
        other => bail!("not the time: {other:?}"),
    }
}

/// Lets the machine have slept for so many milliseconds.
///
/// # Errors
///
/// It went away.
pub fn sleep(remote: &mut Remote, milliseconds: u64) -> Result<()> {
    match remote.ask(&Question::Sleep { milliseconds })? {
        Answer::Time { .. } => Ok(()),
        other => bail!("not the time: {other:?}"),
    }
}
