//! How an asynchronous call runs: when and where it completes, what goes wrong with it, and its
//! callback.

use crate::{
    async_context::AsyncContext,
    handles,
    ksecdd::{Ksecdd, lock},
    rules::{Broken, Checked},
    workers::Job,
};
use std::{
    cell::Cell,
    sync::{
        Arc,
        mpsc::{self, Sender},
    },
    time::Duration,
};
use tlsgate_lab_control::ksecdd::{CallbackThread, Completion, Effect, Fault, Function};
use windows_sys::Win32::Foundation::{SEC_E_INTERNAL_ERROR, SEC_E_OK};

/// The work of an asynchronous call: its status when it is done.
pub type Work = Box<dyn FnOnce() -> Checked<i32> + Send>;

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Whether the current thread runs a driver's callback.
pub fn in_callback() -> bool {
    IN_CALLBACK.get()
}

impl Ksecdd {
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
            owes_callback: true,
        };
        match self.next_fault(function) {
            None => {}
            Some(Effect::Refused(status)) => {
                context.refuse();
                return status;
            }
            Some(Effect::RefusedWithCallback(status)) => {
                // The callback finds the status that the call returns.
                context.finish(status);
                self.call_back(context);
                return status;
            }
            Some(Effect::Completed(status)) => call.work = Box::new(move || Ok(status)),
            Some(Effect::CallbackLost(status)) => {
                call.work = Box::new(move || Ok(status));
                call.loses_callback = true;
            }
            Some(Effect::Unannounced) => call.owes_callback = false,
            Some(Effect::CompletedLateAfter { status, ms }) => {
                if let Some(status) = status {
                    call.work = Box::new(move || Ok(status));
                }
                self.count_in_flight();
                self.workers
                    .run_after(Duration::from_millis(ms), call.into_job());
                return SEC_E_OK;
            }
            Some(Effect::Never) => {
                self.count_in_flight();
                self.workers.hold(call.into_job());
                return SEC_E_OK;
            }
        }
        self.count_in_flight();
        match self.next_completion() {
            Completion::Inline => call.complete(CallbackThread::Same, None),
            Completion::Early => {
                let (done, wait) = mpsc::channel();
                let thread = self.callback_thread();
                self.workers
                    .run(Box::new(move || call.complete(thread, Some(done))));
                wait.recv().expect("the callback is invoked or lost");
            }
            Completion::Held => self.workers.hold(call.into_job()),
            Completion::Late | Completion::Mixed(_) => self.workers.run(call.into_job()),
        }
        SEC_E_OK
    }

    /// What goes wrong with a call of a function that returns its result at once.
    pub fn fault_at_once(&self, function: Function) -> Option<i32> {
        match self.next_fault(function)? {
            Effect::Refused(status) => Some(status),
            // None fits such a function (`Fault::fits`), and so none was set.
            Effect::RefusedWithCallback(_)
            | Effect::Completed(_)
            | Effect::CallbackLost(_)
            | Effect::CompletedLateAfter { .. }
            | Effect::Unannounced
            | Effect::Never => None,
        }
    }

    /// Lets held calls run, and behind them lost callbacks if they are to be delivered.
    pub fn release(self: &Arc<Self>, count: Option<usize>) -> usize {
        let released = self.workers.release(count);
        if !self.switches().lost_callbacks_delivered {
            return released;
        }
        let mut lost = lock(&self.lost);
        let more = count.map_or(lost.len(), |count| lost.len().min(count - released));
        for context in lost.drain(..more) {
            self.count_in_flight();
            let ksecdd = Arc::clone(self);
            self.workers.run(Box::new(move || {
                ksecdd.call_back(&context);
                ksecdd.count_out();
            }));
        }
        released + more
    }

    /// When the next call completes: never [`Completion::Mixed`].
    fn next_completion(&self) -> Completion {
        match self.switches().completion {
            Completion::Mixed(_) => match lock(&self.random).u8(0..3) {
                0 => Completion::Inline,
                1 => Completion::Early,
                _ => Completion::Late,
            },
            completion => completion,
        }
    }

    fn callback_thread(&self) -> CallbackThread {
        self.switches().callback_thread
    }

    /// Counts down to the next fault of `function` and takes it when it is due.
    fn next_fault(&self, function: Function) -> Option<Effect> {
        let mut due = None;
        self.faults(|faults| {
            faults.retain_mut(|fault: &mut Fault| {
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
        });
        due
    }

    /// Invokes the callback that is due, if one is, at the IRQL of the day.
    fn call_back(&self, context: &AsyncContext) {
        let Some(callback) = context.take_due() else {
            return;
        };
        let irql = self.switches().callback_irql;
        let nested = IN_CALLBACK.replace(true);
        self.machine
            .call_back(irql, callback, handles::pointer(context.id));
        IN_CALLBACK.set(nested);
        context.returned();
    }
}

/// An asynchronous call on its way.
struct Call {
    ksecdd: Arc<Ksecdd>,
    context: Arc<AsyncContext>,
    work: Work,
    loses_callback: bool,
    owes_callback: bool,
}

impl Call {
    fn into_job(self) -> Job {
        Box::new(|| {
            let thread = self.ksecdd.callback_thread();
            self.complete(thread, None);
        })
    }

    /// Does the work, and has the callback invoked; `done` is told after that.
    fn complete(self, thread: CallbackThread, done: Option<Sender<()>>) {
        let Self {
            ksecdd,
            context,
            work,
            loses_callback,
            owes_callback,
        } = self;
        let status = work().unwrap_or_else(|broken: Broken| {
            ksecdd.machine.stop(&broken);
            SEC_E_INTERNAL_ERROR
        });
        ksecdd.count_completion(status);
        let callback_due = if owes_callback {
            context.finish(status)
        } else {
            context.finish_unannounced(status);
            false
        };
        let rest = {
            let ksecdd = Arc::clone(&ksecdd);
            move || {
                if !loses_callback {
                    ksecdd.call_back(&context);
                } else if callback_due {
                    ksecdd.lose_callback(context);
                }
                ksecdd.count_out();
                if let Some(done) = done {
                    // The issuing thread waits for nothing else and cannot have gone.
                    done.send(()).expect("the issuing thread waits");
                }
            }
        };
        match thread {
            CallbackThread::Same => rest(),
            CallbackThread::Other => ksecdd.notifiers.run(Box::new(rest)),
        }
    }
}
