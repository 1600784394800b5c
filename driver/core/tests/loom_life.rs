//! Interleavings of unload and all that may yet run: a late callback, a cancellation, the clean-up of a
//! handle, an issuer, the watch.
//!
//! The driver's memory is a cell that the checker watches: everything that runs reads it, and unload writes
//! to it when it frees the driver. What the checker cannot see is the last `ret` of a callback, for which
//! unload sleeps.

mod kernel;
mod kmdf;
mod watched;

use kernel::Semaphore;
use kmdf::Request;
use loom::{
    cell::UnsafeCell,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};
use tlsgate_core::{
    issuing::Issuing,
    life::Life,
    parties::Parties,
    queue::{Lane, Limits, Queue},
    rundown::Rundown,
    ticket::{Begin, Ticket},
    word::Word,
};
use watched::{Watched, explore};

const LIMITS: Limits = Limits {
    lanes: 1,
    registered: 2,
    registered_per_lane: 2,
    inside: 1,
    inside_least: 1,
    inside_per_lane: 1,
    issuers: 1,
};

/// What is freed in the end.
struct Gate {
    /// Whether it has been.
    memory: UnsafeCell<bool>,
    alive: Rundown<Watched>,
    drained: Semaphore,
    queue: Mutex<Queue<Operation>>,
    work: Semaphore,
    stopping: Watched,
    threads: Mutex<Vec<JoinHandle<()>>>,
    watch_stops: Semaphore,
    watch: Mutex<Option<JoinHandle<()>>>,
    /// Whether a callback ends its operation, or leaves that to an issuer.
    callback_ends: bool,
    /// Operations that are inside for nobody.
    orphans: Watched,
    /// Threads of ksecdd's, which nobody of the driver knows.
    callbacks: Mutex<Vec<JoinHandle<()>>>,
}

// SAFETY: the cell is handed over by the driver's life; the checker fails the test where that is not so.
unsafe impl Send for Gate {}
// SAFETY: as above.
unsafe impl Sync for Gate {}

/// A handle, owned by its requests, too: the last owner leaves the driver.
struct Handle {
    gate: Arc<Gate>,
    lane: Lane,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.gate.queue(|queue| queue.close_lane(self.lane));
        self.gate.leave();
    }
}

/// What a request's parties share.
struct Pending {
    ticket: Ticket<Watched>,
    request: Arc<Request>,
    handle: Arc<Handle>,
}

struct Operation {
    lane: Lane,
    pending: Arc<Pending>,
    is_answered: bool,
}

impl Gate {
    fn open(callback_ends: bool) -> Arc<Self> {
        let gate = Arc::new(Self {
            memory: UnsafeCell::new(false),
            alive: Rundown::new(),
            drained: Semaphore::default(),
            queue: Mutex::new(Queue::new(LIMITS)),
            work: Semaphore::default(),
            stopping: Word::new(0),
            threads: Mutex::new(Vec::new()),
            watch_stops: Semaphore::default(),
            watch: Mutex::new(None),
            callback_ends,
            orphans: Word::new(0),
            callbacks: Mutex::new(Vec::new()),
        });
        let issuer = Arc::clone(&gate);
        let thread = thread::spawn(move || {
            issuer.serve(|operation| Self::step(&issuer, operation));
        });
        gate.threads.lock().unwrap().push(thread);
        gate
    }

    /// Everything that runs does this: the driver must be there.
    fn touch(&self) {
        // SAFETY: what is being tested.
        let is_freed = self.memory.with(|cell| unsafe { *cell });
        assert!(!is_freed, "used after it was freed");
    }

    fn step(gate: &Arc<Self>, operation: Operation) {
        gate.touch();
        if operation.is_answered || operation.pending.begin() == Begin::Abandoned {
            return gate.end_operation(operation);
        }
        // Into ksecdd, which calls back when it likes.
        let ksecdd = Arc::clone(gate);
        let callback = thread::spawn(move || ksecdd.called_back(operation));
        gate.callbacks.lock().unwrap().push(callback);
    }

    fn called_back(&self, mut operation: Operation) {
        self.touch();
        operation.pending.returned();
        if self.callback_ends {
            return self.end_operation(operation);
        }
        operation.is_answered = true;
        assert!(self.go_on(operation).is_ok(), "no room");
    }

    fn orphans(&self) -> &Watched {
        self.touch();
        &self.orphans
    }

    /// The reply, then as `Operation::end`.
    fn end_operation(&self, operation: Operation) {
        let Operation { lane, pending, .. } = operation;
        let _given_up = pending.conclude(|| pending.request.complete());
        drop(pending);
        self.forget(lane, true);
        self.leave();
    }

    fn unload(&self) {
        self.end();
        // SAFETY: what is being tested.
        self.memory.with_mut(|cell| unsafe { *cell = true });
    }
}

impl Life for Gate {
    type Word = Watched;

    fn alive(&self) -> &Rundown<Watched> {
        self.touch();
        &self.alive
    }
    fn drained(&self) {
        self.touch();
        self.drained.release(1);
    }
    fn wait_until_drained(&self) {
        self.drained.wait();
    }
    fn stop_watch(&self) {
        self.touch();
        let watch = self.watch.lock().unwrap().take();
        if let Some(watch) = watch {
            self.watch_stops.release(1);
            watch.join().unwrap();
        }
    }
    fn stop_issuers(&self) {
        self.stop();
    }
}

impl Issuing for Gate {
    type Word = Watched;
    type Operation = Operation;
    type Thread = JoinHandle<()>;

    fn queue<R>(&self, act: impl FnOnce(&mut Queue<Operation>) -> R) -> R {
        self.touch();
        act(&mut self.queue.lock().unwrap())
    }
    fn now(&self) -> u64 {
        0
    }
    fn stopping(&self) -> &Watched {
        self.touch();
        &self.stopping
    }
    fn release_one(&self) {
        self.touch();
        self.work.release(1);
    }
    fn release_all(&self) {
        self.touch();
        self.work.release(LIMITS.issuers);
    }
    fn wait(&self) {
        self.touch();
        self.work.wait();
    }
    fn next_thread(&self) -> Option<JoinHandle<()>> {
        self.touch();
        self.threads.lock().unwrap().pop()
    }
    fn join(&self, thread: JoinHandle<()>) {
        thread.join().unwrap();
    }
}

impl Handle {
    fn open(gate: &Arc<Gate>) -> Arc<Self> {
        assert!(gate.enter(), "the driver is there");
        Arc::new(Self {
            gate: Arc::clone(gate),
            lane: gate.queue(|queue| queue.open_lane().unwrap()),
        })
    }

    /// Dispatch: a request with its operation.
    fn request(handle: &Arc<Self>) -> Arc<Pending> {
        let gate = &handle.gate;
        assert!(gate.enter(), "its handle is open");
        gate.queue(|queue| queue.register(handle.lane)).unwrap();
        let pending = Arc::new(Pending {
            ticket: Ticket::new(),
            request: Arc::default(),
            handle: Arc::clone(handle),
        });
        assert!(pending.request.mark());
        let operation = Operation {
            lane: handle.lane,
            pending: Arc::clone(&pending),
            is_answered: false,
        };
        assert!(gate.submit(handle.lane, operation).is_ok(), "no room");
        pending
    }
}

impl Parties for Pending {
    type Word = Watched;

    fn ticket(&self) -> &Ticket<Watched> {
        &self.ticket
    }
    fn forget(&self) {
        self.handle.gate.touch();
    }
    fn unmark(&self) -> bool {
        self.request.unmark()
    }
    fn complete_cancelled(&self) {
        self.request.complete();
    }
    fn fail_session(&self) {
        self.handle.gate.touch();
    }
    fn orphan_more(&self) {
        let _before = self
            .handle
            .gate
            .orphans()
            .update(|count| count.checked_add(1))
            .unwrap();
    }
    fn orphan_less(&self) {
        let _before = self
            .handle
            .gate
            .orphans()
            .update(|count| count.checked_sub(1))
            .unwrap();
    }
    fn tell_orphan(&self) {
        self.handle.gate.touch();
    }
}

/// Who else gives the request up while its callback is on its way.
#[derive(Clone, Copy, PartialEq)]
enum Other {
    Nobody,
    /// The I/O manager: the cancel callback has an owner of its own.
    Cancel,
    /// The watch, because the request's time has run out; then it waits to be stopped.
    Watch,
    /// The handle's clean-up.
    CleanUp,
}

/// A callback comes late, while the request is given up, its handle goes, and the driver is unloaded.
fn unloaded_under(other: Other, callback_ends: bool) {
    let switches = if other == Other::Watch { 2 } else { 3 };
    explore(Some(switches), move || {
        let gate = Gate::open(callback_ends);
        let handle = Handle::open(&gate);
        let pending = Handle::request(&handle);
        let request = Arc::clone(&pending.request);
        drop(handle);
        let canceller = match other {
            Other::Nobody => None,
            Other::CleanUp => {
                let _place = pending.give_up(|| pending.request.complete());
                None
            }
            Other::Cancel => {
                let pending = Arc::clone(&pending);
                Some(thread::spawn(move || {
                    if pending.request.cancel() {
                        let _place = pending.cancelled();
                    }
                }))
            }
            Other::Watch => {
                let (gate, pending) = (Arc::clone(&gate), Arc::clone(&pending));
                let watch = Arc::clone(&gate);
                let thread = thread::spawn(move || {
                    let _place = pending.give_up(|| pending.request.complete());
                    drop(pending);
                    watch.touch();
                    watch.watch_stops.wait();
                });
                *gate.watch.lock().unwrap() = Some(thread);
                None
            }
        };
        drop(pending);
        // No handle is open any more; what is inside ksecdd is.
        gate.unload();
        if let Some(canceller) = canceller {
            canceller.join().unwrap();
        }
        let callbacks: Vec<_> = gate.callbacks.lock().unwrap().drain(..).collect();
        for callback in callbacks {
            callback.join().unwrap();
        }
        assert_eq!(request.completions(), 1, "completed exactly once");
        assert_eq!(gate.orphans.load(), 0, "no orphan is forgotten");
        assert!(!gate.alive.acquire(), "nothing begins after the end");
    });
}

#[test]
fn a_late_callback_against_unload() {
    unloaded_under(Other::Nobody, false);
    unloaded_under(Other::Nobody, true);
}

#[test]
fn a_late_callback_and_a_cancellation_against_unload() {
    unloaded_under(Other::Cancel, false);
    unloaded_under(Other::Cancel, true);
}

#[test]
fn a_late_callback_and_a_deadline_against_unload() {
    unloaded_under(Other::Watch, false);
    unloaded_under(Other::Watch, true);
}

#[test]
fn a_late_callback_and_a_closed_handle_against_unload() {
    unloaded_under(Other::CleanUp, false);
    unloaded_under(Other::CleanUp, true);
}

/// Something begins at the very moment of unload: it is refused, or waited for.
#[test]
fn a_late_comer_against_unload() {
    explore(Some(3), || {
        let gate = Gate::open(false);
        let late = {
            let gate = Arc::clone(&gate);
            // Whoever comes has a reference to the driver of its own, as the framework holds for a create.
            thread::spawn(move || {
                if gate.alive.acquire() {
                    gate.touch();
                    gate.leave();
                }
            })
        };
        gate.unload();
        late.join().unwrap();
    });
}
