//! A broken rule: one line in the log, one on standard error, and the process is gone.

use std::{
    fmt::Display,
    fs::OpenOptions,
    io::Write,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};
use tlsgate_lab_control::FOLDER;
use windows_sys::Win32::{
    Foundation::HMODULE,
    System::{
        Diagnostics::Debug::RtlCaptureStackBackTrace,
        LibraryLoader::{
            GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
            GetModuleFileNameW, GetModuleHandleExW,
        },
        Threading::{GetCurrentProcess, TerminateProcess},
    },
};

/// Frames looked at, and frames told.
const DEPTH: usize = 62;
const TOLD: usize = 10;

/// Ends the process because `$rule` (kebab case; tests look for it) was broken.
macro_rules! stop {
    ($rule:expr, $($detail:tt)+) => {
        $crate::stop::now($rule, &format_args!($($detail)+))
    };
}
pub(crate) use stop;

/// Ends the process because the stand-in itself has failed, which is no rule of the driver's.
macro_rules! lab_failed {
    ($($detail:tt)+) => {
        $crate::stop::now("lab", &format_args!($($detail)+))
    };
}
pub(crate) use lab_failed;

/// See [`stop!`]. The first one wins: what other threads find while the process ends is noise.
pub fn now(rule: &str, detail: &dyn Display) -> ! {
    stop_at(rule, detail, &callers())
}

/// As [`now`], with the back trace given.
pub fn stop_at(rule: &str, detail: &dyn Display, callers: &[usize]) -> ! {
    static STOPPING: AtomicBool = AtomicBool::new(false);
    while STOPPING.swap(true, Ordering::SeqCst) {
        thread::park();
    }
    let line = format!("STOP {rule}: {detail}{}\n", trace(callers));
    let log = Path::new(FOLDER).join("stop.log");
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    let mut error = std::io::stderr();
    // Standard error may be closed in a service process; the process ends either way, which no test
    // misses.
    _ = error.write_all(line.as_bytes());
    if let Err(reason) = written {
        _ = writeln!(
            error,
            "STOP stop-log: {} cannot be written: {reason}",
            log.display()
        );
    }
    // SAFETY: the pseudo handle of this very process needs no care.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: ends this process; no code of it runs on. `exit` would run clean-up code under the
    // feet of the driver's threads.
    unsafe { TerminateProcess(process, 3) };
    loop {
        thread::park();
    }
}

/// Return addresses of this thread, innermost first.
pub fn callers() -> Vec<usize> {
    let mut frames = [std::ptr::null_mut(); DEPTH];
    #[expect(clippy::cast_possible_truncation, reason = "DEPTH is 62")]
    // SAFETY: `frames` has room for as many addresses as asked for; no hash is wanted.
    let found = unsafe {
        RtlCaptureStackBackTrace(0, DEPTH as u32, frames.as_mut_ptr(), std::ptr::null_mut())
    };
    frames[..usize::from(found)]
        .iter()
        .map(|frame| *frame as usize)
        .collect()
}

/// The frames of drivers and other stand-ins: who called this one.
fn trace(frames: &[usize]) -> String {
    let own = module(trace as *const () as usize).map(|(name, _)| name);
    frames
        .iter()
        .filter_map(|&frame| module(frame))
        .filter(|(name, _)| {
            name.to_ascii_lowercase().contains(".sys") && Some(name) != own.as_ref()
        })
        .take(TOLD)
        .fold(String::new(), |trace, (name, offset)| {
            format!("{trace} < {name}+{offset:#x}")
        })
}

/// The file name of the module that `address` lies in, and how far in.
pub fn module(address: usize) -> Option<(String, usize)> {
    let mut base: HMODULE = std::ptr::null_mut();
    let flags =
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    // SAFETY: with FROM_ADDRESS the second argument is an address, which is only compared.
    if unsafe { GetModuleHandleExW(flags, address as *const u16, &raw mut base) } == 0 {
        return None;
    }
    let mut path = [0u16; 260];
    // SAFETY: `path` has the room that is said.
    let length = unsafe { GetModuleFileNameW(base, path.as_mut_ptr(), 260) };
    let path = String::from_utf16_lossy(&path[..length as usize]);
    let name = path.rsplit('\\').next().unwrap_or_default().to_owned();
    Some((name, address - base as usize))
}
