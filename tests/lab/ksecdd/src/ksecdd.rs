//! The stand-in as a whole: what is alive, how it behaves, and how an asynchronous call runs.

use crate::{
    async_context::AsyncContext,
    context::SecurityContext,
    credential::Credential,
    handles::{self, Table},
    machine::Machine,
    rules::{Broken, Checked, IRQL_TOO_HIGH, UNKNOWN_ASYNC_CONTEXT, broken, check},
    workers::{Job, Workers},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};
use tlsgate_lab_control::ksecdd::{Completion, Effect, Function, State, Switches};
use windows_sys::Win32::Foundation::{SEC_E_INTERNAL_ERROR, SEC_E_OK};

const PASSIVE_LEVEL: u8 = 0;
const DISPATCH_LEVEL: u8 = 2;

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
    switches: Mutex<Switches>,
    workers: Workers,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    calls: BTreeMap<Function, u64>,
    completions: BTreeMap<i32, u64>,
    in_flight: usize,
    most_in_flight: usize,
}

/// The work of an asynchronous call: its status when it is done.
pub type Work = Box<dyn FnOnce() -> Checked<i32> + Send>;

impl Ksecdd {
    /// A stand-in that behaves by default.
    pub fn new(machine: Box<dyn Machine>) -> Arc<Self> {
        let ksecdd = Self {
            machine,
            async_contexts: Table::default(),
            credentials: Table::default(),
            contexts: Table::default(),
            context_buffers: Mutex::default(),
            switches: Mutex::default(),
            workers: Workers::default(),
            counts: Mutex::default(),
        };
        ksecdd.set_switches(Switches::default());
        Arc::new(ksecdd)
    }

    /// How it behaves.
    pub fn switches(&self) -> Switches {
        lock(&self.switches).clone()
    }

    /// Makes it behave otherwise; says how it did before.
    pub fn set_switches(&self, switches: Switches) -> Switches {
        self.workers
            .set(switches.workers, Duration::from_millis(switches.latency_ms));
        std::mem::replace(&mut *lock(&self.switches), switches)
    }

    /// Lets held calls run.
    pub fn release(&self, count: Option<usize>) -> usize {
        self.workers.release(count)
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
            calls: counts.calls.clone(),
            completions: counts.completions.clone(),
        }
    }

    /// Counts a call of a function that is called at PASSIVE_LEVEL only.
    pub fn enter(&self, function: Function) -> Checked<()> {
        self.enter_below(function, PASSIVE_LEVEL)
    }

    /// Counts a call of a function that shipping drivers call from their callbacks.
    pub fn enter_from_callback(&self, function: Function) -> Checked<()> {
        self.enter_below(function, DISPATCH_LEVEL)
    }

    fn enter_below(&self, function: Function, highest: u8) -> Checked<()> {
        *lock(&self.counts).calls.entry(function).or_default() += 1;
        let irql = self.machine.irql();
        check(irql <= highest, IRQL_TOO_HIGH, || {
            format!("{function:?} at IRQL {irql}")
        })
    }

    /// The async context behind a pointer.
    pub fn async_context(&self, pointer: usize) -> Checked<Arc<AsyncContext>> {
        match handles::id_of_pointer(pointer).and_then(|id| self.async_contexts.get(id)) {
            Some(context) => Ok(context),
            None => broken(UNKNOWN_ASYNC_CONTEXT, format!("{pointer:#x}")),
        }
    }

    /// Issues an asynchronous call on an async context that has begun it.
    pub fn issue(
        self: &Arc<Self>,
        function: Function,
        context: &Arc<AsyncContext>,
        work: Work,
    ) -> i32 {
        let mut call = Call {
            ksecdd: Arc::clone(self),
            context: Arc::clone(context),
            work,
            loses_callback: false,
        };
        match self.next_fault(function) {
            None => {}
            Some(Effect::Refused(status)) => {
                context.refuse();
                return status;
            }
            Some(Effect::RefusedWithCallback(status)) => {
                self.call_back(context, context.notify_refused(status));
                return status;
            }
            Some(Effect::Completed(status)) => call.work = Box::new(move || Ok(status)),
            Some(Effect::CallbackLost(status)) => {
                call.work = Box::new(move || Ok(status));
                call.loses_callback = true;
            }
        }
        self.count_in_flight();
        let completion = lock(&self.switches).completion;
        match completion {
            Completion::Inline => call.complete(),
            Completion::Early => {
                let (done, wait) = mpsc::channel();
                self.workers.run(Box::new(move || {
                    call.complete();
                    // The issuing thread waits for nothing else and cannot have gone.
                    done.send(()).expect("the issuing thread waits");
                }));
                wait.recv().expect("the job runs");
            }
            Completion::Late => self.workers.run(call.into_job()),
            Completion::Held => self.workers.hold(call.into_job()),
        }
        SEC_E_OK
    }

    fn count_in_flight(&self) {
        let mut counts = lock(&self.counts);
        counts.in_flight += 1;
        counts.most_in_flight = counts.most_in_flight.max(counts.in_flight);
    }

    /// Counts down to the next fault of `function` and takes it when it is due.
    fn next_fault(&self, function: Function) -> Option<Effect> {
        let mut switches = lock(&self.switches);
        let mut due = None;
        switches.faults.retain_mut(|fault| {
            if fault.function != function {
                return true;
            }
            fault.nth = fault.nth.saturating_sub(1);
            if fault.nth == 0 && due.is_none() {
                due = Some(fault.effect);
                return false;
            }
            true
        });
        due
    }

    /// Invokes a callback at the IRQL of the day.
    fn call_back(&self, context: &AsyncContext, callback: Option<crate::async_context::Callback>) {
        let Some(callback) = callback else { return };
        let irql = lock(&self.switches).callback_irql;
        let before = self.machine.set_irql(irql);
        callback.invoke(handles::pointer(context.id));
        self.machine.set_irql(before);
        context.returned();
    }
}

/// An asynchronous call on its way.
struct Call {
    ksecdd: Arc<Ksecdd>,
    context: Arc<AsyncContext>,
    work: Work,
    loses_callback: bool,
}

impl Call {
    fn into_job(self) -> Job {
        Box::new(|| self.complete())
    }

    fn complete(self) {
        let Self {
            ksecdd,
            context,
            work,
            loses_callback,
        } = self;
        let status = work().unwrap_or_else(|broken: Broken| {
            ksecdd.machine.stop(&broken);
            SEC_E_INTERNAL_ERROR
        });
        *lock(&ksecdd.counts).completions.entry(status).or_default() += 1;
        if loses_callback {
            context.finish_without_callback(status);
        } else {
            ksecdd.call_back(&context, context.finish(status));
        }
        lock(&ksecdd.counts).in_flight -= 1;
    }
}

/// Locks, whatever became of the thread that had the lock before.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
