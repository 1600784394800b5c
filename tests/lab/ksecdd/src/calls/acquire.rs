//! `SspiAcquireCredentialsHandleAsyncW`, `SspiFreeCredentialsHandleAsync` and
//! `FreeCredentialsHandle`.

use crate::{
    asked::Asked,
    credential::Credential,
    handles::{self, Kind},
    ksecdd::Ksecdd,
    machine::Actor,
    memory::{Place, Watch, get},
    rules::{BAD_CREDENTIAL, Checked, INPUT_CHANGED, OUTPUT_TOUCHED, check},
};
use std::{ffi::c_void, slice, sync::Arc};
use tlsgate_lab_control::ksecdd::{Function, TokenUse};
use windows_sys::Win32::{
    Foundation::{SEC_E_INVALID_HANDLE, SEC_E_OK, SEC_E_SECPKG_NOT_FOUND, UNICODE_STRING},
    Security::Credentials::SecHandle,
};

/// The package's name for kernel callers (`SCHANNEL_NAME`, `AcquireCredentialsHandle`
/// (Schannel), MicrosoftDocs/win32; microsoft/msquic). In kernel mode it is a counted string.
const SCHANNEL: &str = "Schannel";

/// When a credential or context expires: never.
pub const NEVER: i64 = i64::MAX;

/// What `SspiAcquireCredentialsHandleAsyncW` is given.
pub struct Acquire {
    pub async_context: *mut c_void,
    pub principal: *const UNICODE_STRING,
    pub package: *const UNICODE_STRING,
    pub credential_use: u32,
    pub logon_id: *const c_void,
    pub auth_data: *const c_void,
    pub get_key: *const c_void,
    pub get_key_argument: *const c_void,
    pub credential: *mut SecHandle,
    pub expiry: *mut i64,
}

impl Ksecdd {
    /// `SspiAcquireCredentialsHandleAsyncW`.
    ///
    /// # Safety
    ///
    /// What pointers to accessible memory point to is of the type they say, `auth_data` an
    /// `SCH_CREDENTIALS`.
    pub unsafe fn acquire_credentials_handle_async(
        self: &Arc<Self>,
        call: &Acquire,
    ) -> Checked<i32> {
        let function = Function::SspiAcquireCredentialsHandleAsyncW;
        self.enter(function)?;
        let context = self.async_context(call.async_context.addr())?;
        let machine = &*self.machine;
        for (what, null) in [
            ("pvLogonId", call.logon_id.is_null()),
            ("pGetKeyFn", call.get_key.is_null()),
            ("pvGetKeyArgument", call.get_key_argument.is_null()),
        ] {
            check(null, BAD_CREDENTIAL, || format!("{what} is not NULL"))?;
        }
        let mut watch = Watch::default();
        // SAFETY: as this function's caller asserts.
        let package = unsafe { self.read_string("pszPackage", call.package, &mut watch) }?;
        let principal = if call.principal.is_null() {
            String::new()
        } else {
            // SAFETY: as this function's caller asserts.
            unsafe { self.read_string("pszPrincipal", call.principal, &mut watch) }?
        };
        let (usage, auth_data) = (call.credential_use, call.auth_data);
        // SAFETY: as this function's caller asserts.
        let asked = unsafe { Asked::read(machine, usage, principal, auth_data, &mut watch) }?;
        let credential = Place::of(machine, "phCredential", call.credential)?;
        // SAFETY: the place was found accessible; the driver's call is under way.
        unsafe { watch.add(credential, OUTPUT_TOUCHED, true) };
        let expiry = if call.expiry.is_null() {
            None
        } else {
            Some(Place::of(machine, "ptsExpiry", call.expiry)?)
        };
        context.begin("SspiAcquireCredentialsHandleAsyncW", false)?;
        if package != SCHANNEL {
            context.refuse();
            return Ok(SEC_E_SECPKG_NOT_FOUND);
        }
        self.note_acquired(asked.acquired.clone());
        let switches = self.switches();
        let owner = match switches.token {
            TokenUse::InWorker => Actor::system(),
            TokenUse::Stopped | TokenUse::Refused | TokenUse::Ignored => Actor::current(machine),
        };
        let ksecdd = Arc::clone(self);
        Ok(self.issue(
            function,
            &context,
            Box::new(move || {
                // SAFETY: until the callback the memory is the call's, says the contract.
                unsafe { watch.verify(&*ksecdd.machine) }?;
                let applies = switches.machine_flag_applies;
                let role = match asked.acquire(&*ksecdd.machine, &owner.account, applies) {
                    Ok(role) => role,
                    Err(status) => return Ok(status),
                };
                let made = ksecdd
                    .credentials
                    .insert(|id| Credential::new(id, owner, role));
                // SAFETY: it has just been found writable, and is the call's.
                unsafe { credential.put(handles::handle(Kind::Credential, made.id)) };
                if let Some(expiry) = expiry {
                    // SAFETY: until the callback the memory is the call's.
                    unsafe { expiry.put(NEVER) };
                }
                Ok(SEC_E_OK)
            }),
        ))
    }

    /// `SspiFreeCredentialsHandleAsync`.
    ///
    /// # Safety
    ///
    /// A pointer to accessible memory is one to a handle.
    pub unsafe fn free_credentials_handle_async(
        self: &Arc<Self>,
        async_context: *mut c_void,
        credential: *const SecHandle,
    ) -> Checked<i32> {
        let function = Function::SspiFreeCredentialsHandleAsync;
        self.enter(function)?;
        let context = self.async_context(async_context.addr())?;
        context.begin("SspiFreeCredentialsHandleAsync", false)?;
        // SAFETY: as this function's caller asserts.
        let Some(credential) = (unsafe { self.credential(credential) })? else {
            context.refuse();
            return Ok(SEC_E_INVALID_HANDLE);
        };
        credential.begin_freeing()?;
        let freeing = Freeing {
            ksecdd: Arc::clone(self),
            credential,
            done: false,
        };
        Ok(self.issue(
            function,
            &context,
            Box::new(move || {
                let mut freeing = freeing;
                freeing.ksecdd.credentials.remove(freeing.credential.id);
                freeing.done = true;
                Ok(SEC_E_OK)
            }),
        ))
    }

    /// `FreeCredentialsHandle`.
    ///
    /// # Safety
    ///
    /// A pointer to accessible memory is one to a handle.
    pub unsafe fn free_credentials_handle(&self, credential: *const SecHandle) -> Checked<i32> {
        let function = Function::FreeCredentialsHandle;
        self.enter(function)?;
        // SAFETY: as this function's caller asserts.
        let Some(credential) = (unsafe { self.credential(credential) })? else {
            return Ok(SEC_E_INVALID_HANDLE);
        };
        credential.begin_freeing()?;
        if let Some(status) = self.fault_at_once(function) {
            credential.keep();
            return Ok(status);
        }
        self.credentials.remove(credential.id);
        Ok(SEC_E_OK)
    }

    /// The live credential behind a handle.
    ///
    /// # Safety
    ///
    /// A pointer to accessible memory is one to a handle.
    pub unsafe fn credential(
        &self,
        credential: *const SecHandle,
    ) -> Checked<Option<Arc<Credential>>> {
        // SAFETY: as this function's caller asserts.
        let handle = unsafe { get(&*self.machine, "phCredential", credential) }?;
        Ok(handles::id_of_handle(Kind::Credential, handle).and_then(|id| self.credentials.get(id)))
    }

    /// Reads a counted string, and watches it.
    ///
    /// # Safety
    ///
    /// A pointer to accessible memory is one to a `UNICODE_STRING`.
    pub unsafe fn read_string(
        &self,
        what: &'static str,
        string: *const UNICODE_STRING,
        watch: &mut Watch,
    ) -> Checked<String> {
        // SAFETY: as this function's caller asserts.
        let UNICODE_STRING { Length, Buffer, .. } = unsafe { get(&*self.machine, what, string) }?;
        let units = usize::from(Length) / 2;
        let text = Place::bytes(&*self.machine, what, Buffer.cast(), usize::from(Length))?;
        for place in [Place::of(&*self.machine, what, string)?, text] {
            // SAFETY: the place was found accessible; the driver's call is under way.
            unsafe { watch.add(place, INPUT_CHANGED, false) };
        }
        if units == 0 {
            return Ok(String::new());
        }
        // SAFETY: the memory was found accessible; the driver's call is under way.
        let units = unsafe { slice::from_raw_parts(Buffer, units) };
        Ok(String::from_utf16_lossy(units))
    }
}

/// A credential that is being freed, or else kept.
struct Freeing {
    ksecdd: Arc<Ksecdd>,
    credential: Arc<Credential>,
    done: bool,
}

impl Drop for Freeing {
    fn drop(&mut self) {
        if !self.done {
            self.credential.keep();
        }
    }
}
