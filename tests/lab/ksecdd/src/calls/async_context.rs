//! `SspiCreateAsyncContext`, `SspiFreeAsyncContext`, `SspiReinitAsyncContext`,
//! `SspiSetAsyncNotifyCallback`, `SspiAsyncContextRequiresNotify`, `SspiGetAsyncCallStatus`.

use crate::{
    async_context::{AsyncContext, Callback, NotifyCallback},
    handles,
    ksecdd::Ksecdd,
    rules::Checked,
};
use std::{ffi::c_void, ptr};
use tlsgate_lab_control::ksecdd::Function;
#[cfg(any(feature = "requires-notify", test))]
use tlsgate_lab_control::ksecdd::RequiresNotify;
use windows_sys::Win32::Foundation::{
    NTSTATUS, SEC_E_OK, STATUS_INVALID_DEVICE_STATE, STATUS_SUCCESS,
};

impl Ksecdd {
    /// `SspiCreateAsyncContext`.
    pub fn create_async_context(&self) -> Checked<*mut c_void> {
        let function = Function::SspiCreateAsyncContext;
        self.enter(function)?;
        if self.fault_at_once(function).is_some() {
            return Ok(ptr::null_mut());
        }
        let context = self.async_contexts.insert(AsyncContext::new);
        Ok(ptr::without_provenance_mut(handles::pointer(context.id)))
    }

    /// `SspiFreeAsyncContext`; NULL is nothing. Legal in the context's own callback.
    pub fn free_async_context(&self, context: *mut c_void) -> Checked<()> {
        self.enter(Function::SspiFreeAsyncContext)?;
        if context.is_null() {
            return Ok(());
        }
        let context = self.async_context(context.addr())?;
        context.may_be_freed()?;
        self.async_contexts.remove(context.id);
        Ok(())
    }

    /// `SspiReinitAsyncContext`: alone in the family it returns an NTSTATUS. Which one says
    /// that the context is in use is assumed.
    pub fn reinit_async_context(&self, context: *mut c_void) -> Checked<NTSTATUS> {
        let function = Function::SspiReinitAsyncContext;
        self.enter(function)?;
        let context = self.async_context(context.addr())?;
        if let Some(status) = self.fault_at_once(function) {
            return Ok(status);
        }
        let switches = self.switches();
        let done = !switches.reinit_refused && context.reinit(switches.reinit_refused_in_callback);
        Ok(if done {
            STATUS_SUCCESS
        } else {
            STATUS_INVALID_DEVICE_STATE
        })
    }

    /// `SspiSetAsyncNotifyCallback`.
    pub fn set_async_notify_callback(
        &self,
        context: *mut c_void,
        function: Option<NotifyCallback>,
        data: *mut c_void,
    ) -> Checked<i32> {
        let called = Function::SspiSetAsyncNotifyCallback;
        self.enter(called)?;
        let context = self.async_context(context.addr())?;
        if let Some(status) = self.fault_at_once(called) {
            return Ok(status);
        }
        let data = data.expose_provenance();
        context.set_callback(function.map(|function| Callback { function, data }))?;
        Ok(SEC_E_OK)
    }

    /// `SspiAsyncContextRequiresNotify`: "does completion need notification".
    #[cfg(any(feature = "requires-notify", test))]
    pub fn async_context_requires_notify(&self, context: *mut c_void) -> Checked<u8> {
        self.enter(Function::SspiAsyncContextRequiresNotify)?;
        let context = self.async_context(context.addr())?;
        Ok(u8::from(match self.switches().requires_notify {
            RequiresNotify::Owed => context.owes_callback(),
            RequiresNotify::WhenSet => context.has_callback(),
        }))
    }

    /// `SspiGetAsyncCallStatus`.
    pub fn get_async_call_status(&self, context: *mut c_void) -> Checked<i32> {
        let function = Function::SspiGetAsyncCallStatus;
        self.enter(function)?;
        let status = self.async_context(context.addr())?.status()?;
        Ok(self.fault_at_once(function).unwrap_or(status))
    }
}
