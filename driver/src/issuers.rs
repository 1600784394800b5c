//! The issuers: the driver's own threads, about one a processor, and the queue they work off.
//!
//! Every call to ksecdd is made here, at PASSIVE_LEVEL, impersonating only around the call. A leg
//! never parks a thread: once issued it is ksecdd's, and its callback brings it back.

use crate::{
    gate::Gate,
    kmdf::spin_lock::SpinLock,
    nt::{
        self,
        event::Semaphore,
        thread::{self, Thread},
    },
    operation::Operation,
    stock::Stored,
};
use alloc::vec::Vec;
use core::{pin::Pin, ptr, sync::atomic::AtomicUsize};
use tlsgate_core::{
    issuing::Issuing,
    queue::{Lane, Limits, Queue, Refused},
    room,
};
use tlsgate_protocol::NtStatus;
use wdk_sys::PVOID;

/// Most threads, whatever the number of processors.
pub const MOST_THREADS: usize = 64;

/// Releases of the semaphore that wake every thread.
const ENOUGH_FOR_ALL: i32 = 64;

const _: () = assert!(ENOUGH_FOR_ALL as usize >= MOST_THREADS);

/// The threads and their queue.
pub struct Issuers {
    queue: SpinLock<Queue<Stored<Operation>>>,
    work: Semaphore,
    /// Not 0 when the threads are to end.
    stopping: AtomicUsize,
    threads: SpinLock<Vec<Thread>>,
}

impl Issuers {
    /// No threads yet. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// The framework has no locks.
    pub fn new(limits: Limits) -> Result<Self, NtStatus> {
        Ok(Self {
            queue: SpinLock::new(Queue::new(limits))?,
            work: Semaphore::new(),
            stopping: AtomicUsize::new(0),
            threads: SpinLock::new(Vec::new())?,
        })
    }

    /// Starts one thread a processor. IRQL: PASSIVE_LEVEL. On failure, [`Self::stop`] follows.
    ///
    /// # Errors
    ///
    /// There is no memory, or a thread cannot be had.
    pub fn start(self: Pin<&'static Self>, gate: &'static Gate) -> Result<(), NtStatus> {
        Pin::static_ref(&self.get_ref().work).initialize();
        let wanted = usize::try_from(thread::processors())
            .unwrap_or(1)
            .min(MOST_THREADS);
        self.threads
            .lock()
            .try_reserve_exact(wanted)
            .map_err(|_| NtStatus::STATUS_INSUFFICIENT_RESOURCES)?;
        self.queue.lock().set_issuers(wanted);
        let context: PVOID = ptr::from_ref(gate).cast_mut().cast();
        for _ in 0..wanted {
            let thread = Thread::start(run, context)?;
            let mut threads = self.threads.lock();
            // Within the capacity reserved above.
            if room::push(&mut threads, thread).is_ok() {
                gate.counters.threads_live.up();
            }
        }
        Ok(())
    }

    /// Ends the threads after they have worked off the queue, and waits for them. IRQL:
    /// PASSIVE_LEVEL, from unload.
    pub fn stop(self: Pin<&'static Self>) {
        Threads(self.get_ref()).stop();
    }

    /// Makes a handle's lane; [`Self::close_lane`] must follow.
    ///
    /// # Errors
    ///
    /// There are too many, or there is no memory.
    pub fn open_lane(&self) -> Result<Lane, Refused> {
        self.queue.lock().open_lane()
    }

    /// The handle is gone; its lane goes with its last operation. IRQL: up to DISPATCH_LEVEL.
    pub fn close_lane(&self, lane: Lane) {
        self.queue.lock().close_lane(lane);
    }

    /// Makes room in the queue for an operation that is being made.
    ///
    /// # Errors
    ///
    /// There are too many, or there is no memory.
    pub fn register(&self, lane: Lane) -> Result<(), Refused> {
        self.queue.lock().register(lane)
    }

    /// An operation that was registered is gone; `admitted` if it had been let into ksecdd. IRQL:
    /// up to DISPATCH_LEVEL.
    pub fn forget(&'static self, lane: Lane, admitted: bool) {
        Threads(self).forget(lane, admitted);
    }

    /// Lets more in if all that is inside hangs; called now and then. IRQL: up to DISPATCH_LEVEL.
    pub fn look(&'static self) {
        Threads(self).look();
    }

    /// Lets an operation wait for admission. IRQL: up to DISPATCH_LEVEL.
    pub fn submit(&'static self, operation: Stored<Operation>) {
        let lane = operation.lane();
        pushed(Threads(self).submit(lane, operation));
    }

    /// Lets an admitted operation take its next step. IRQL: up to DISPATCH_LEVEL.
    pub fn go_on(&'static self, operation: Stored<Operation>) {
        pushed(Threads(self).go_on(operation));
    }

    /// Operations that wait, and operations inside.
    pub fn load(&self) -> (usize, usize) {
        let queue = self.queue.lock();
        (queue.waiting(), queue.inside())
    }
}

fn pushed(result: Result<(), Stored<Operation>>) {
    // Cannot fail: every operation is registered. Its memory is kept rather than freed, as a call of
    // it might be under way.
    if let Err(operation) = result {
        operation.leak();
    }
}

/// The parts of the issuers, for the policy in `tlsgate_core::issuing`.
struct Threads(&'static Issuers);

impl Issuing for Threads {
    type Word = AtomicUsize;
    type Operation = Stored<Operation>;
    type Thread = Thread;

    fn queue<R>(&self, act: impl FnOnce(&mut Queue<Stored<Operation>>) -> R) -> R {
        act(&mut self.0.queue.lock())
    }

    fn now(&self) -> u64 {
        nt::precise_time()
    }

    fn stopping(&self) -> &AtomicUsize {
        &self.0.stopping
    }

    fn release_one(&self) {
        Pin::static_ref(&self.0.work).release(1);
    }

    fn release_all(&self) {
        Pin::static_ref(&self.0.work).release(ENOUGH_FOR_ALL);
    }

    fn wait(&self) {
        Pin::static_ref(&self.0.work).wait();
    }

    fn next_thread(&self) -> Option<Thread> {
        self.0.threads.lock().pop()
    }

    fn join(&self, thread: Thread) {
        thread.join();
    }
}

/// An issuer's life. IRQL: PASSIVE_LEVEL.
///
/// # Safety
///
/// Started by [`Issuers::start`] with the gate, which outlives the thread.
unsafe extern "C" fn run(context: PVOID) {
    // SAFETY: this function's contract.
    let gate: &'static Gate = unsafe { &*context.cast::<Gate>() };
    Threads(&gate.issuers).serve(Operation::step);
}
