//! `SspiDeleteSecurityContextAsync` and `DeleteSecurityContext`.

use crate::{
    context::{SecurityContext, Use},
    handles::{self, Kind},
    ksecdd::Ksecdd,
    memory::get,
    rules::Checked,
};
use std::{ffi::c_void, sync::Arc};
use tlsgate_lab_control::ksecdd::Function;
use windows_sys::Win32::{
    Foundation::{SEC_E_INVALID_HANDLE, SEC_E_OK},
    Security::Credentials::SecHandle,
};

impl Ksecdd {
    /// `SspiDeleteSecurityContextAsync`: alone in the family it may lack a callback, and then its
    /// async context may be freed as soon as it has returned.
    ///
    /// # Safety
    ///
    /// A pointer to accessible memory is one to a handle.
    pub unsafe fn delete_security_context_async(
        self: &Arc<Self>,
        async_context: *mut c_void,
        context: *const SecHandle,
    ) -> Checked<i32> {
        let function = Function::SspiDeleteSecurityContextAsync;
        self.enter(function)?;
        let async_context = self.async_context(async_context.addr())?;
        async_context.begin("SspiDeleteSecurityContextAsync", true)?;
        // SAFETY: as this function's caller asserts.
        let Some(context) = (unsafe { self.context(context) })? else {
            async_context.refuse();
            return Ok(SEC_E_INVALID_HANDLE);
        };
        let used = context.begin(Use::Deletion)?;
        let ksecdd = Arc::clone(self);
        Ok(self.issue(
            function,
            &async_context,
            Box::new(move || {
                ksecdd.contexts.remove(used.context.id);
                Ok(SEC_E_OK)
            }),
        ))
    }

    /// `DeleteSecurityContext`.
    ///
    /// # Safety
    ///
    /// A pointer to accessible memory is one to a handle.
    pub unsafe fn delete_security_context(&self, context: *const SecHandle) -> Checked<i32> {
        let function = Function::DeleteSecurityContext;
        self.enter(function)?;
        // SAFETY: as this function's caller asserts.
        let Some(context) = (unsafe { self.context(context) })? else {
            return Ok(SEC_E_INVALID_HANDLE);
        };
        let used = context.begin(Use::Deletion)?;
        if let Some(status) = self.fault_at_once(function) {
            return Ok(status);
        }
        self.contexts.remove(used.context.id);
        Ok(SEC_E_OK)
    }

    /// The live security context behind a handle.
    ///
    /// # Safety
    ///
    /// A pointer to accessible memory is one to a handle.
    pub unsafe fn context(
        &self,
        context: *const SecHandle,
    ) -> Checked<Option<Arc<SecurityContext>>> {
        // SAFETY: as this function's caller asserts.
        let handle = unsafe { get(&*self.machine, "phContext", context) }?;
        Ok(handles::id_of_handle(Kind::Context, handle).and_then(|id| self.contexts.get(id)))
    }
}
