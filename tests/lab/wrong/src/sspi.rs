//! Faults with the kernel's asynchronous SSPI.

use crate::{faults::Fault, kmdf::poke, locks, pool, stack, threads};
use core::{
    ffi::c_void,
    mem::offset_of,
    ptr,
    sync::atomic::{AtomicBool, Ordering},
};
use wdk_sys::{
    SecHandle, UNICODE_STRING,
    ntddk::{
        SspiAcquireCredentialsHandleAsyncW, SspiCreateAsyncContext, SspiFreeAsyncContext,
        SspiGetAsyncCallStatus, SspiSetAsyncNotifyCallback,
    },
};

/// `SECPKG_CRED_INBOUND`
const INBOUND: u32 = 1;

/// `SCH_CREDENTIALS_VERSION`
const CREDENTIALS_VERSION: u32 = 5;
/// `SCH_CRED_FORMAT_CERT_HASH_STORE`
const HASH_STORE: u32 = 2;
/// `SCH_USE_STRONG_CRYPTO`, `SCH_CRED_NO_SYSTEM_MAPPER`
const FLAGS: u32 = 0x40_0002;

/// `SCH_CREDENTIALS`
#[repr(C)]
struct Credentials {
    version: u32,
    format: u32,
    count: u32,
    certificates: *const HashStore,
    root_store: usize,
    mappers: u32,
    mapper_array: usize,
    lifespan: u32,
    flags: u32,
    parameter_count: u32,
    parameters: usize,
}

/// `SCHANNEL_CERT_HASH_STORE`
#[repr(C)]
struct HashStore {
    length: u32,
    flags: u32,
    provider: usize,
    hash: [u8; 20],
    store: [u16; 128],
}

/// Everything that must live while a credential is being acquired.
#[repr(C)]
struct Acquisition {
    credentials: Credentials,
    certificate: HashStore,
    package: UNICODE_STRING,
    name: [u16; 8],
    handle: SecHandle,
}

const _: () = {
    assert!(size_of::<Credentials>() == 72);
    assert!(size_of::<HashStore>() == 296);
};

/// What an async context is known by.
pub type Context = *mut wdk_sys::SspiAsyncContext;

static COMPLETED: AtomicBool = AtomicBool::new(false);

/// Commits the fault if it is one with SSPI.
pub fn commit(fault: Fault) {
    match fault {
        Fault::SspiIrqlTooHigh => {
            locks::acquire(locks::create());
            _ = create();
        }
        Fault::UnknownAsyncContext => {
            let context = create();
            free(context);
            free(context);
        }
        Fault::SspiLeak => _ = create(),
        Fault::StatusWithoutCall => status(create()),
        Fault::CallbackMissing => _ = acquire(create()),
        Fault::AsyncContextBusy => {
            let context = with_callback();
            _ = acquire(context);
            _ = acquire(context);
        }
        Fault::AsyncContextNotReinitialised => {
            let context = with_callback();
            _ = acquire(context);
            while !COMPLETED.load(Ordering::Acquire) {
                threads::sleep();
            }
            _ = acquire(context);
        }
        Fault::AsyncContextFreedPending => {
            let context = with_callback();
            _ = acquire(context);
            free(context);
        }
        Fault::InputChanged => {
            let place = acquire(with_callback());
            poke(place.cast(), offset_of!(Acquisition, name));
        }
        Fault::InputFreed => pool::free(acquire(with_callback()).cast()),
        Fault::OutputTouched => {
            let place = acquire(with_callback());
            poke(place.cast(), offset_of!(Acquisition, handle));
        }
        Fault::DeepInSspiCallback => _ = acquire(with(create(), dive)),
        Fault::SspiCallbackKeepsSpinLock => _ = acquire(with(create(), keep_spin_lock)),
        _ => (),
    }
}

/// Acquires a credential, waits until `notify` has had `end_is_known` say that the call is complete, and frees
/// what the call had.
pub fn acquire_until(notify: Notify, end_is_known: impl FnOnce()) {
    let context = with(create(), notify);
    let place = acquire(context);
    end_is_known();
    free(context);
    pool::free(place.cast());
}

/// A callback.
pub type Notify = extern "C" fn(Context, *mut c_void);

extern "C" fn dive(_context: Context, _data: *mut c_void) {
    stack::dive();
}

extern "C" fn keep_spin_lock(_context: Context, _data: *mut c_void) {
    locks::acquire(locks::create());
}

fn create() -> Context {
    // SAFETY: takes nothing.
    unsafe { SspiCreateAsyncContext() }
}

fn with_callback() -> Context {
    COMPLETED.store(false, Ordering::Release);
    with(create(), completed)
}

fn with(context: Context, notify: Notify) -> Context {
    // SAFETY: the callback is code of this image.
    let _status = unsafe { SspiSetAsyncNotifyCallback(context, Some(notify), ptr::null_mut()) };
    context
}

extern "C" fn completed(_context: Context, _data: *mut c_void) {
    COMPLETED.store(true, Ordering::Release);
}

fn free(context: Context) {
    // SAFETY: none is meant: the lab judges the call.
    unsafe { SspiFreeAsyncContext(context) };
}

fn status(context: Context) {
    // SAFETY: none is meant: the lab judges the call.
    let _status = unsafe { SspiGetAsyncCallStatus(context) };
}

/// Acquires a credential for a certificate that nobody has. What must live is never freed: the lab
/// is to stop before that matters.
fn acquire(context: Context) -> *mut Acquisition {
    let place: *mut Acquisition = pool::allocate_bytes(size_of::<Acquisition>()).cast();
    if place.is_null() {
        return place;
    }
    let certificate = place.wrapping_byte_add(offset_of!(Acquisition, certificate));
    let name = place.wrapping_byte_add(offset_of!(Acquisition, name));
    let acquisition = Acquisition {
        credentials: Credentials {
            version: CREDENTIALS_VERSION,
            format: HASH_STORE,
            count: 1,
            certificates: certificate.cast(),
            root_store: 0,
            mappers: 0,
            mapper_array: 0,
            lifespan: 0,
            flags: FLAGS,
            parameter_count: 0,
            parameters: 0,
        },
        certificate: HashStore {
            length: 296,
            flags: 0,
            provider: 0,
            hash: [0xEE; 20],
            store: {
                let mut store = [0; 128];
                store[0] = u16::from(b'M');
                store[1] = u16::from(b'Y');
                store
            },
        },
        package: UNICODE_STRING {
            Length: 16,
            MaximumLength: 16,
            Buffer: name.cast(),
        },
        name: [b'S', b'c', b'h', b'a', b'n', b'n', b'e', b'l'].map(u16::from),
        handle: SecHandle {
            dwLower: 0,
            dwUpper: 0,
        },
    };
    // SAFETY: the block was allocated for it.
    unsafe { place.write(acquisition) };
    // SAFETY: the block lives for ever.
    let kept = unsafe { &mut *place };
    // SAFETY: none is meant: the lab judges the call.
    let _status = unsafe {
        SspiAcquireCredentialsHandleAsyncW(
            context,
            ptr::null_mut(),
            &raw mut kept.package,
            INBOUND,
            ptr::null_mut(),
            (&raw mut kept.credentials).cast(),
            None,
            ptr::null_mut(),
            &raw mut kept.handle,
            ptr::null_mut(),
        )
    };
    place
}
