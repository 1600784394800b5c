//! One async context: the one call it serves at a time, from the call to the end of its callback
//! (`SspiCreateAsyncContext`, `SspiReinitAsyncContext`, `SspiFreeAsyncContext`,
//! MicrosoftDocs/sdk-api).

use crate::rules::{
    ASYNC_CONTEXT_BUSY, ASYNC_CONTEXT_FREED_BEFORE_CALLBACK, ASYNC_CONTEXT_FREED_PENDING,
    ASYNC_CONTEXT_NOT_REINITIALISED, CALLBACK_MISSING, Checked, STATUS_WITHOUT_CALL, broken,
};
use std::{
    ffi::c_void,
    ptr,
    sync::{Mutex, MutexGuard, PoisonError},
};
use windows_sys::Win32::Foundation::SEC_I_ASYNC_CALL_PENDING;

/// `SspiAsyncNotifyCallback`.
pub type NotifyCallback = unsafe extern "system" fn(context: *mut c_void, data: *mut c_void);

/// An async context.
pub struct AsyncContext {
    /// Its number.
    pub id: usize,
    state: Mutex<State>,
}

struct State {
    callback: Option<Callback>,
    phase: Phase,
    /// Callbacks that were invoked and have not returned.
    callbacks: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Pending { notifies: bool },
    Final { status: i32, callback_due: bool },
}

/// What to call when a call is complete.
#[derive(Debug, Clone, Copy)]
pub struct Callback {
    /// The driver's function.
    pub function: NotifyCallback,
    /// Its data, as an address: it is the driver's own business.
    pub data: usize,
}

impl Callback {
    /// Calls it for the async context at `context`.
    pub fn invoke(self, context: usize) {
        let context = ptr::without_provenance_mut(context);
        let data = ptr::with_exposed_provenance_mut(self.data);
        // SAFETY: the driver set this function and this data for this very purpose, and the
        // contract keeps both valid until the callback has returned.
        unsafe { (self.function)(context, data) };
    }
}

impl AsyncContext {
    /// A context for a first call.
    pub fn new(id: usize) -> Self {
        let state = State {
            callback: None,
            phase: Phase::Idle,
            callbacks: 0,
        };
        Self {
            id,
            state: Mutex::new(state),
        }
    }

    /// `SspiSetAsyncNotifyCallback`.
    pub fn set_callback(&self, callback: Option<Callback>) -> Checked<()> {
        let mut state = self.lock();
        if let Phase::Pending { .. } = state.phase {
            return broken(
                ASYNC_CONTEXT_BUSY,
                "a callback is set while a call is pending",
            );
        }
        state.callback = callback;
        Ok(())
    }

    /// Whether a callback is set.
    #[cfg(any(feature = "requires-notify", test))]
    pub fn has_callback(&self) -> bool {
        self.lock().callback.is_some()
    }

    /// Whether a call that was accepted has a callback yet to come.
    #[cfg(any(feature = "requires-notify", test))]
    pub fn owes_callback(&self) -> bool {
        match self.lock().phase {
            Phase::Idle => false,
            Phase::Pending { notifies } => notifies,
            Phase::Final { callback_due, .. } => callback_due,
        }
    }

    /// A call begins.
    pub fn begin(&self, function: &str, may_lack_callback: bool) -> Checked<()> {
        let mut state = self.lock();
        match state.phase {
            Phase::Idle => {}
            Phase::Pending { .. } => return broken(ASYNC_CONTEXT_BUSY, function),
            Phase::Final { .. } => return broken(ASYNC_CONTEXT_NOT_REINITIALISED, function),
        }
        if state.callback.is_none() && !may_lack_callback {
            return broken(CALLBACK_MISSING, function);
        }
        state.phase = Phase::Pending {
            notifies: state.callback.is_some(),
        };
        Ok(())
    }

    /// The call was not accepted after all.
    pub fn refuse(&self) {
        self.lock().phase = Phase::Idle;
    }

    /// The call is complete; whether its callback is due now.
    pub fn finish(&self, status: i32) -> bool {
        let mut state = self.lock();
        let callback_due = state.callback.is_some();
        state.phase = Phase::Final {
            status,
            callback_due,
        };
        callback_due
    }

    /// The call is complete, and no callback is due.
    pub fn finish_unannounced(&self, status: i32) {
        self.lock().phase = Phase::Final {
            status,
            callback_due: false,
        };
    }

    /// The callback that is due, to be invoked now; then [`AsyncContext::returned`] must be called.
    pub fn take_due(&self) -> Option<Callback> {
        let mut state = self.lock();
        let Phase::Final { callback_due, .. } = &mut state.phase else {
            return None;
        };
        if !std::mem::take(callback_due) {
            return None;
        }
        state.callbacks += 1;
        state.callback
    }

    /// A callback has returned.
    pub fn returned(&self) {
        self.lock().callbacks -= 1;
    }

    /// `SspiGetAsyncCallStatus`.
    pub fn status(&self) -> Checked<i32> {
        match self.lock().phase {
            Phase::Pending { .. } => Ok(SEC_I_ASYNC_CALL_PENDING),
            Phase::Final { status, .. } => Ok(status),
            Phase::Idle => broken(STATUS_WITHOUT_CALL, "the context serves no call"),
        }
    }

    /// `SspiReinitAsyncContext`: whether it was possible. Callback and data stay.
    pub fn reinit(&self, refused_in_callback: bool) -> bool {
        let mut state = self.lock();
        let busy = match state.phase {
            Phase::Idle => false,
            Phase::Pending { .. } => true,
            Phase::Final { callback_due, .. } => callback_due,
        };
        if busy || (refused_in_callback && state.callbacks > 0) {
            return false;
        }
        state.phase = Phase::Idle;
        true
    }

    /// Whether `SspiFreeAsyncContext` is allowed now: a call that notifies must be complete and
    /// its callback invoked; a deletion without callback need not even be complete
    /// (`SspiSetAsyncNotifyCallback`).
    pub fn may_be_freed(&self) -> Checked<()> {
        match self.lock().phase {
            Phase::Pending { notifies: true } => broken(
                ASYNC_CONTEXT_FREED_PENDING,
                "a call with a callback is pending",
            ),
            Phase::Final {
                callback_due: true, ..
            } => broken(
                ASYNC_CONTEXT_FREED_BEFORE_CALLBACK,
                "the call is complete and its callback is due",
            ),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
