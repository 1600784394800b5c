//! The functions of `ksecdd.sys`, looked up in the file that was loaded.

use std::{
    ffi::{CString, c_void},
    mem,
};
use windows_sys::Win32::{
    Foundation::UNICODE_STRING,
    Security::{Authentication::Identity::SecBufferDesc, Credentials::SecHandle},
    System::LibraryLoader::{GetProcAddress, LoadLibraryW},
};

/// `SspiAsyncNotifyCallback`.
pub type Callback = unsafe extern "system" fn(*mut c_void, *mut c_void);

macro_rules! functions {
    ($($field:ident $name:literal fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions.
        #[derive(Clone, Copy)]
        pub struct Module {
            $(pub $field: unsafe extern "system" fn($($argument),*) $(-> $result)?,)*
        }

        impl Module {
            /// Loads `path`.
            pub fn load(path: &str) -> Self {
                let path: Vec<u16> = path.encode_utf16().chain([0]).collect();
                // SAFETY: the path is terminated; loading runs the module's own start.
                let module = unsafe { LoadLibraryW(path.as_ptr()) };
                assert!(!module.is_null(), "cannot load: {}", std::io::Error::last_os_error());
                let find = |name: &str| {
                    let text = CString::new(name).expect("names have no zeroes");
                    // SAFETY: the module is loaded and the name terminated.
                    let found = unsafe { GetProcAddress(module, text.as_ptr().cast()) };
                    found.unwrap_or_else(|| panic!("{name} is not exported"))
                };
                Self {
                    $(
                        // SAFETY: these are the exports' signatures.
                        $field: unsafe { mem::transmute::<
                            unsafe extern "system" fn() -> isize,
                            unsafe extern "system" fn($($argument),*) $(-> $result)?,
                        >(find($name)) },
                    )*
                }
            }
        }
    };
}

functions! {
    create "SspiCreateAsyncContext" fn() -> *mut c_void;
    free "SspiFreeAsyncContext" fn(*mut c_void);
    set_callback "SspiSetAsyncNotifyCallback" fn(*mut c_void, Callback, *mut c_void) -> i32;
    status "SspiGetAsyncCallStatus" fn(*mut c_void) -> i32;
    acquire "SspiAcquireCredentialsHandleAsyncW" fn(*mut c_void, *const UNICODE_STRING, *const UNICODE_STRING, u32, *const c_void, *const c_void, *const c_void, *const c_void, *mut SecHandle, *mut i64) -> i32;
    accept "SspiAcceptSecurityContextAsync" fn(*mut c_void, *const SecHandle, *const SecHandle, *const SecBufferDesc, u32, u32, *mut SecHandle, *const SecBufferDesc, *mut u32, *mut i64) -> i32;
    delete "SspiDeleteSecurityContextAsync" fn(*mut c_void, *const SecHandle) -> i32;
    free_credential "SspiFreeCredentialsHandleAsync" fn(*mut c_void, *const SecHandle) -> i32;
    query "QueryContextAttributesW" fn(*const SecHandle, u32, *mut c_void) -> i32;
    seal "SealMessage" fn(*const SecHandle, u32, *const SecBufferDesc, u32) -> i32;
    unseal "UnsealMessage" fn(*const SecHandle, *const SecBufferDesc, u32, *mut u32) -> i32;
    leaks "LabLeaks" fn() -> u64;
}
