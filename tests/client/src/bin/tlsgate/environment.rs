//! What a run or a measurement is made on.

use crate::{doctor::observed, selftest::Environment};
use anyhow::Result;
use std::{collections::BTreeMap, ffi::CStr, thread};
use tlsgate::{Driver, protocol::payload::StatisticsReply};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};

/// Looks at the machine and the driver.
pub async fn look(driver: &Driver) -> Result<Environment> {
    let version = driver.version().await?;
    let windows = windows_version::OsVersion::current();
    Ok(Environment {
        windows: format!("{}.{}.{}", windows.major, windows.minor, windows.build),
        wine: wine(),
        processors: thread::available_parallelism()?.get(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        driver: format!("{}.{}.{}", version.major, version.minor, version.patch),
        abi: version.head.version,
        observed_of_ksecdd: counted(&driver.statistics().await?),
    })
}

/// What the driver has observed, by the names that `tlsgate doctor` gives it, and in how many calls.
fn counted(now: &StatisticsReply) -> BTreeMap<String, u64> {
    let observed = observed(now).into_iter();
    observed
        .map(|one| (one.name.to_owned(), one.value))
        .chain([("calls".to_owned(), now.calls)])
        .collect()
}

/// Wine's version, by the function that its wiki names for those who must know.
pub fn wine() -> Option<String> {
    let name: Vec<u16> = "ntdll.dll\0".encode_utf16().collect();
    // SAFETY: the name is terminated. The module is never unloaded.
    let ntdll = unsafe { GetModuleHandleW(name.as_ptr()) };
    // SAFETY: the module is loaded, the name is terminated.
    let function = unsafe { GetProcAddress(ntdll, c"wine_get_version".as_ptr().cast()) }?;
    // SAFETY: only Wine has a function of this name, and this is its type.
    let function: unsafe extern "C" fn() -> *const core::ffi::c_char =
        unsafe { std::mem::transmute(function) };
    // SAFETY: it takes nothing.
    let version = unsafe { function() };
    // SAFETY: what it gives is a terminated constant.
    let version = unsafe { CStr::from_ptr(version) };
    Some(version.to_string_lossy().into_owned())
}
