//! The driver, as scenarios call it.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The driver, called in the process that it is loaded in.
pub trait Gate: Sync {
    /// Opens a handle (`EvtDeviceFileCreate`).
    ///
    /// # Errors
    ///
    /// The driver refuses.
    fn open(&self) -> anyhow::Result<Handle>;

    /// Closes it (`EvtFileCleanup`, `EvtFileClose`).
    fn close(&self, handle: Handle);

    /// One IOCTL: `EvtIoInCallerContext` and `EvtIoDeviceControl` on this thread. `buffer` is the
    /// system buffer itself, no copy is made: at least `input` and `room` bytes, the input in front.
    /// `done` is called on whatever thread completes the request, possibly before this returns.
    fn issue(
        &self,
        handle: Handle,
        code: u32,
        input: usize,
        room: usize,
        buffer: Vec<u8>,
        done: Done,
    );

    /// Whether time is entered into [`Usage::driver`] and [`Usage::imported`] from now on; at first it is not.
    /// Reading the clock slows each call of the driver's down: throughput is measured without.
    fn clock(&self, runs: bool);

    /// What the stand-ins have counted so far.
    fn usage(&self) -> Usage;

    /// Has the security subsystem behave so from now on.
    ///
    /// # Errors
    ///
    /// The stand-in cannot be reached.
    fn engine(&self, engine: Engine) -> anyhow::Result<()>;
}

/// An open handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub u64);

/// What hears of a request's completion.
pub type Done = Box<dyn FnOnce(Completion) + Send>;

/// A request's completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The `NTSTATUS`.
    pub status: i32,
    /// Bytes of the reply.
    pub information: usize,
    /// The system buffer, the reply in front.
    pub buffer: Vec<u8>,
}

/// What the stand-ins have counted since they were loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes of pool, and of look-aside blocks given out, that the driver has now.
    pub pool_bytes: usize,
    /// How many blocks those are.
    pub pool_blocks: usize,
    /// Allocations that reached `ExAllocatePool2`.
    pub pool_allocations: u64,
    /// Async contexts created (`SspiCreateAsyncContext`).
    pub async_contexts_created: u64,
    /// Time in the driver's own code on all threads: from each entry to its return, without the time
    /// in ksecdd and without waits.
    pub driver: Duration,
    /// Of that, the part in what the driver imports from the kernel and KMDF: stand-ins and Wine.
    pub imported: Duration,
    /// Time in ksecdd on all threads, without the driver's callbacks.
    pub engine: Duration,
    /// Time between an operation's submission and an issuer's taking it, summed.
    pub hops: Duration,
    /// How many those are.
    pub hop_count: u64,
    /// The driver's own threads.
    pub driver_threads: usize,
}

/// How the security subsystem behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Engine {
    /// A call completes inside itself, as fast as rustls is.
    Inline,
    /// First in, first out: so many calls at a time, each so long without using the processor.
    Pool {
        /// How many at a time.
        workers: usize,
        /// How long each.
        latency: Duration,
    },
    /// Nothing completes until the next [`Gate::engine`].
    Held,
}
