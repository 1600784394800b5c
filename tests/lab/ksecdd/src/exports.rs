//! The functions that `ksecdd.sys` exports, with the signatures of `sspi.h` under
//! `SECURITY_KERNEL`: strings are counted, and `SspiReinitAsyncContext` returns an NTSTATUS.
//!
//! `SspiAsyncContextRequiresNotify` is declared by the header but in no known export list, so
//! it is exported under that name only with the feature `requires-notify`.

use crate::{
    async_context::NotifyCallback,
    calls::{acquire::Acquire, leg::Leg},
    windows::attach::call,
};
use std::{ffi::c_void, ptr};
use windows_sys::Win32::{
    Foundation::{NTSTATUS, UNICODE_STRING},
    Security::{Authentication::Identity::SecBufferDesc, Credentials::SecHandle},
};

#[unsafe(no_mangle)]
extern "system" fn SspiCreateAsyncContext() -> *mut c_void {
    let context = call(|ksecdd| ksecdd.create_async_context().map(Some));
    context.unwrap_or(ptr::null_mut())
}

#[unsafe(no_mangle)]
extern "system" fn SspiFreeAsyncContext(context: *mut c_void) {
    call(|ksecdd| ksecdd.free_async_context(context));
}

#[unsafe(no_mangle)]
extern "system" fn SspiReinitAsyncContext(context: *mut c_void) -> NTSTATUS {
    call(|ksecdd| ksecdd.reinit_async_context(context))
}

#[unsafe(no_mangle)]
extern "system" fn SspiSetAsyncNotifyCallback(
    context: *mut c_void,
    callback: Option<NotifyCallback>,
    data: *mut c_void,
) -> i32 {
    call(|ksecdd| ksecdd.set_async_notify_callback(context, callback, data))
}

#[cfg(feature = "requires-notify")]
#[unsafe(no_mangle)]
extern "system" fn SspiAsyncContextRequiresNotify(context: *mut c_void) -> u8 {
    call(|ksecdd| ksecdd.async_context_requires_notify(context))
}

#[unsafe(no_mangle)]
extern "system" fn SspiGetAsyncCallStatus(context: *mut c_void) -> i32 {
    call(|ksecdd| ksecdd.get_async_call_status(context))
}

#[unsafe(no_mangle)]
unsafe extern "system" fn SspiAcquireCredentialsHandleAsyncW(
    async_context: *mut c_void,
    principal: *const UNICODE_STRING,
    package: *const UNICODE_STRING,
    credential_use: u32,
    logon_id: *const c_void,
    auth_data: *const c_void,
    get_key: *const c_void,
    get_key_argument: *const c_void,
    credential: *mut SecHandle,
    expiry: *mut i64,
) -> i32 {
    let acquire = Acquire {
        async_context,
        principal,
        package,
        credential_use,
        logon_id,
        auth_data,
        get_key,
        get_key_argument,
        credential,
        expiry,
    };
    call(|ksecdd| {
        // SAFETY: the driver passes what the function's page asks for.
        unsafe { ksecdd.acquire_credentials_handle_async(&acquire) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "system" fn SspiAcceptSecurityContextAsync(
    async_context: *mut c_void,
    credential: *const SecHandle,
    context: *const SecHandle,
    input: *const SecBufferDesc,
    request: u32,
    data_representation: u32,
    new_context: *mut SecHandle,
    output: *const SecBufferDesc,
    attributes: *mut u32,
    expiry: *mut i64,
) -> i32 {
    let leg = Leg {
        async_context,
        credential,
        context,
        target: ptr::null(),
        request,
        data_representation,
        input,
        new_context,
        output,
        attributes,
        expiry,
    };
    call(|ksecdd| {
        // SAFETY: the driver passes what the function's page asks for.
        unsafe { ksecdd.accept_security_context_async(&leg) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "system" fn SspiInitializeSecurityContextAsyncW(
    async_context: *mut c_void,
    credential: *const SecHandle,
    context: *const SecHandle,
    target: *const UNICODE_STRING,
    request: u32,
    _reserved1: u32,
    data_representation: u32,
    input: *const SecBufferDesc,
    _reserved2: u32,
    new_context: *mut SecHandle,
    output: *const SecBufferDesc,
    attributes: *mut u32,
    expiry: *mut i64,
) -> i32 {
    let leg = Leg {
        async_context,
        credential,
        context,
        target,
        request,
        data_representation,
        input,
        new_context,
        output,
        attributes,
        expiry,
    };
    call(|ksecdd| {
        // SAFETY: the driver passes what the function's page asks for.
        unsafe { ksecdd.initialize_security_context_async(&leg) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "system" fn SspiDeleteSecurityContextAsync(
    async_context: *mut c_void,
    context: *const SecHandle,
) -> i32 {
    call(|ksecdd| {
        // SAFETY: the driver passes what the function's page asks for.
        unsafe { ksecdd.delete_security_context_async(async_context, context) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "system" fn SspiFreeCredentialsHandleAsync(
    async_context: *mut c_void,
    credential: *const SecHandle,
) -> i32 {
    call(|ksecdd| {
        // SAFETY: the driver passes what the function's page asks for.
        unsafe { ksecdd.free_credentials_handle_async(async_context, credential) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "system" fn FreeCredentialsHandle(credential: *const SecHandle) -> i32 {
    call(|ksecdd| {
        // SAFETY: the driver passes what the function's page asks for.
        unsafe { ksecdd.free_credentials_handle(credential) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "system" fn DeleteSecurityContext(context: *const SecHandle) -> i32 {
    call(|ksecdd| {
        // SAFETY: the driver passes what the function's page asks for.
        unsafe { ksecdd.delete_security_context(context) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "system" fn QueryContextAttributesW(
    context: *const SecHandle,
    attribute: u32,
    buffer: *mut c_void,
) -> i32 {
    call(|ksecdd| {
        // SAFETY: the driver passes what the function's page asks for.
        unsafe { ksecdd.query_context_attributes(context, attribute, buffer) }
    })
}

#[unsafe(no_mangle)]
extern "system" fn FreeContextBuffer(buffer: *mut c_void) -> i32 {
    call(|ksecdd| ksecdd.free_context_buffer(buffer))
}

#[unsafe(no_mangle)]
unsafe extern "system" fn SealMessage(
    context: *const SecHandle,
    quality: u32,
    message: *const SecBufferDesc,
    sequence: u32,
) -> i32 {
    call(|ksecdd| {
        // SAFETY: the driver passes what the function's page asks for.
        unsafe { ksecdd.seal_message(context, quality, message, sequence) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "system" fn UnsealMessage(
    context: *const SecHandle,
    message: *const SecBufferDesc,
    sequence: u32,
    _quality: *mut u32,
) -> i32 {
    call(|ksecdd| {
        // SAFETY: the driver passes what the function's page asks for.
        unsafe { ksecdd.unseal_message(context, message, sequence) }
    })
}

/// For the KMDF stand-in at unload: how many async contexts, credentials, security contexts,
/// context buffers and calls a driver has left behind.
#[unsafe(no_mangle)]
extern "system" fn LabLeaks() -> u64 {
    call(|ksecdd| Ok(ksecdd.state().left_behind() as u64))
}

/// For the KMDF stand-in, when the driver is measured: how calls complete from now on. 0 is inline; 1 on so many
/// workers, each so many microseconds after it has taken a call; 2 not at all until this is called again.
#[cfg(feature = "bench")]
#[unsafe(no_mangle)]
extern "system" fn LabEngine(kind: u32, workers: u32, microseconds: u64) {
    use tlsgate_lab_control::ksecdd::{Completion, Latency, Switches};
    static START: std::sync::Once = std::sync::Once::new();
    START.call_once(tlsgate_lab_allocator::start);
    let ksecdd = crate::windows::attach::ksecdd();
    ksecdd.set_switches(Switches {
        completion: match kind {
            0 => Completion::Inline,
            1 => Completion::Late,
            _ => Completion::Held,
        },
        workers: workers as usize,
        latency: Latency::Fixed(microseconds),
        ..(*ksecdd.switches()).clone()
    });
    ksecdd.release(None);
}

/// Likewise: the async contexts created so far.
#[cfg(feature = "bench")]
#[unsafe(no_mangle)]
extern "system" fn LabAsyncContexts() -> u64 {
    use tlsgate_lab_control::ksecdd::Function;
    let calls = crate::windows::attach::ksecdd().state().calls;
    calls
        .get(&Function::SspiCreateAsyncContext)
        .copied()
        .unwrap_or_default()
}
