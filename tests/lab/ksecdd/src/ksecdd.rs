//! The stand-in as a whole: what is alive, how it behaves, what is counted.

use crate::{
    async_context::AsyncContext,
    context::SecurityContext,
    credential::Credential,
    handles::{self, Table},
    issue::in_callback,
    machine::Machine,
    rules::{Checked, IRQL_TOO_HIGH, ISSUED_IN_CALLBACK, UNKNOWN_ASYNC_CONTEXT, broken, check},
    workers::Workers,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tlsgate_lab_control::ksecdd::{
    Acquired, Completion, Fault, Function, Latency, State, Switches,
};

const PASSIVE_LEVEL: u8 = 0;
const DISPATCH_LEVEL: u8 = 2;
/// Threads that only run callbacks.
const NOTIFIERS: usize = 2;
/// Acquire calls whose arguments are remembered.
const REMEMBERED: usize = 16;

/// The stand-in.
pub struct Ksecdd {
    /// What it runs on.
    pub machine: Box<dyn Machine>,
    /// The async contexts.
    pub async_contexts: Table<AsyncContext>,
    /// The credentials.
    pub credentials: Table<Credential>,
    /// The security contexts.
    pub contexts: Table<SecurityContext>,
    /// What `FreeContextBuffer` must see again, by address.
    pub context_buffers: Mutex<BTreeMap<usize, Box<[u8]>>>,
    /// What calls run on.
    pub workers: Workers,
    /// What callbacks run on that run on another thread than their call.
    pub notifiers: Workers,
    /// Draws how each call completes when that is mixed.
    pub random: Mutex<fastrand::Rng>,
    /// Async contexts whose callback got lost, the oldest first.
    pub lost: Mutex<Vec<Arc<AsyncContext>>>,
    switches: Mutex<Arc<Switches>>,
    /// Whether the switches have faults yet to come. Changed under their lock.
    has_faults: AtomicBool,
    /// Calls of each function.
    calls: [AtomicU64; Function::ALL.len()],
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    completions: BTreeMap<i32, u64>,
    in_flight: usize,
    most_in_flight: usize,
    callbacks_lost: u64,
    acquired: VecDeque<Acquired>,
}

impl Ksecdd {
    /// A stand-in that behaves by default.
    pub fn new(machine: Box<dyn Machine>) -> Arc<Self> {
        let ksecdd = Self {
            machine,
            async_contexts: Table::default(),
            credentials: Table::default(),
            contexts: Table::default(),
            context_buffers: Mutex::default(),
            workers: Workers::default(),
            notifiers: Workers::default(),
            random: Mutex::new(fastrand::Rng::with_seed(0)),
            lost: Mutex::default(),
            switches: Mutex::default(),
            has_faults: AtomicBool::new(false),
            calls: Default::default(),
            counts: Mutex::default(),
        };
        ksecdd.notifiers.set(NOTIFIERS, Latency::default());
        ksecdd.set_switches(Switches::default());
        Arc::new(ksecdd)
    }

    /// How it behaves.
    pub fn switches(&self) -> Arc<Switches> {
        Arc::clone(&lock(&self.switches))
    }

    /// Makes it behave otherwise; says how it did before.
    pub fn set_switches(&self, switches: Switches) -> Switches {
        self.workers.set(switches.workers, switches.latency);
        if let Completion::Mixed(seed) = switches.completion {
            lock(&self.random).seed(seed);
        }
        let mut current = lock(&self.switches);
        self.has_faults
            .store(!switches.faults.is_empty(), Ordering::Release);
        let before = std::mem::replace(&mut *current, Arc::new(switches));
        drop(current);
        Arc::unwrap_or_clone(before)
    }

    /// What is alive, pending and counted.
    pub fn state(&self) -> State {
        let counts = lock(&self.counts);
        State {
            async_contexts: self.async_contexts.len(),
            credentials: self.credentials.len(),
            contexts: self.contexts.len(),
            context_buffers: lock(&self.context_buffers).len(),
            in_flight: counts.in_flight,
            held: self.workers.held(),
            most_in_flight: counts.most_in_flight,
            callbacks_lost: counts.callbacks_lost,
            callbacks_owed: lock(&self.lost).len(),
            calls: self.calls(),
            completions: counts.completions.clone(),
            acquired: counts.acquired.iter().cloned().collect(),
        }
    }

    fn calls(&self) -> BTreeMap<Function, u64> {
        let counts = self.calls.iter().map(|count| count.load(Ordering::Relaxed));
        let each = Function::ALL.into_iter().zip(counts);
        each.filter(|&(_, count)| count > 0).collect()
    }

    /// Counts a call of a function, and looks at where it comes from.
    pub fn enter(&self, function: Function) -> Checked<()> {
        if let Some(count) = self.calls.get(function as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let irql = self.machine.irql();
        check(irql <= highest_irql(function), IRQL_TOO_HIGH, || {
            format!("{function:?} at IRQL {irql}")
        })?;
        let issued = function.is_asynchronous() && in_callback();
        check(
            !issued || lock(&self.switches).issue_in_callback_allowed,
            ISSUED_IN_CALLBACK,
            || format!("{function:?}"),
        )
    }

    /// The async context behind a pointer.
    pub fn async_context(&self, pointer: usize) -> Checked<Arc<AsyncContext>> {
        match handles::id_of_pointer(pointer).and_then(|id| self.async_contexts.get(id)) {
            Some(context) => Ok(context),
            None => broken(UNKNOWN_ASYNC_CONTEXT, format!("{pointer:#x}")),
        }
    }

    /// An asynchronous call was accepted.
    pub fn count_in_flight(&self) {
        let mut counts = lock(&self.counts);
        counts.in_flight += 1;
        counts.most_in_flight = counts.most_in_flight.max(counts.in_flight);
    }

    /// An asynchronous call has its final status.
    pub fn count_completion(&self, status: i32) {
        *lock(&self.counts).completions.entry(status).or_default() += 1;
    }

    /// The callback of an asynchronous call has returned, or got lost.
    pub fn count_out(&self) {
        lock(&self.counts).in_flight -= 1;
    }

    /// The callback of a call on `context` gets lost.
    pub fn lose_callback(&self, context: Arc<AsyncContext>) {
        lock(&self.counts).callbacks_lost += 1;
        lock(&self.lost).push(context);
    }

    /// Remembers what an acquire call asked for.
    pub fn note_acquired(&self, acquired: Acquired) {
        let mut counts = lock(&self.counts);
        if counts.acquired.len() == REMEMBERED {
            counts.acquired.pop_front();
        }
        counts.acquired.push_back(acquired);
    }

    /// Looks at the faults yet to come, and takes those that are due.
    pub fn faults(&self, look: impl FnOnce(&mut Vec<Fault>)) {
        // Most have none, and then nothing is locked or copied.
        if !self.has_faults.load(Ordering::Acquire) {
            return;
        }
        let mut switches = lock(&self.switches);
        if !switches.faults.is_empty() {
            look(&mut Arc::make_mut(&mut switches).faults);
        }
        self.has_faults
            .store(!switches.faults.is_empty(), Ordering::Release);
    }
}

/// The highest IRQL at which shipping drivers call a function (microsoft/msquic): some are called from
/// callbacks.
fn highest_irql(function: Function) -> u8 {
    match function {
        Function::SspiFreeAsyncContext
        | Function::SspiAsyncContextRequiresNotify
        | Function::SspiGetAsyncCallStatus => DISPATCH_LEVEL,
        _ => PASSIVE_LEVEL,
    }
}

/// Locks, whatever became of the thread that had the lock before.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_has_its_place() {
        for (place, function) in Function::ALL.into_iter().enumerate() {
            assert_eq!(function as usize, place, "{function:?}");
        }
    }

    #[test]
    fn each_import_has_its_highest_irql() {
        let table = include_str!("../../wdk/imports.csv");
        let rows = table
            .lines()
            .map(|line| line.split(',').collect::<Vec<_>>());
        let mut seen = 0;
        for row in rows.filter(|row| row.get(1) == Some(&"ksecdd")) {
            let function: Function = serde_json::from_str(&format!("\"{}\"", row[0])).unwrap();
            let highest = match row[3] {
                "passive" => PASSIVE_LEVEL,
                "dispatch" => DISPATCH_LEVEL,
                other => panic!("{other} is no level of these functions'"),
            };
            assert_eq!(highest_irql(function), highest, "{function:?}");
            seen += 1;
        }
        assert!(seen > 10, "{seen} imports");
    }
}
