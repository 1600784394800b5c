//! What the stand-in needs of the machine, from Windows and from the KMDF stand-in.

use super::certificate_store;
use crate::{
    async_context::Callback,
    checks,
    machine::{Key, Machine, Wanted},
    rules::Broken,
};
use rustls::pki_types::CertificateDer;
use std::{
    ffi::{CStr, c_void},
    fs::OpenOptions,
    io::Write,
    mem,
    path::Path,
    ptr,
    sync::OnceLock,
};
use tlsgate_lab_control::FOLDER;
use windows_sys::Win32::System::{
    LibraryLoader::{GetModuleHandleW, GetProcAddress},
    Memory::{
        MEM_COMMIT, MEMORY_BASIC_INFORMATION, PAGE_EXECUTE_READWRITE, PAGE_GUARD, PAGE_NOACCESS,
        PAGE_READWRITE, PAGE_WRITECOPY, VirtualQuery,
    },
    Threading::{GetCurrentProcess, TerminateProcess},
};

/// The exit code of a process that a rule has stopped.
const STOPPED: u32 = 3;

/// The account that acts when nobody says which.
const SYSTEM: &str = "SYSTEM";

/// UTF-16 units of an account's name, at most.
const LONGEST_NAME: usize = 256;

/// The machine under test.
pub struct Kernel;

impl Machine for Kernel {
    fn stop(&self, broken: &Broken) {
        let line = format!("STOP {}: {}\n", broken.rule, broken.detail);
        eprint!("{line}");
        let log = Path::new(FOLDER).join("stop.log");
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .and_then(|mut log| log.write_all(line.as_bytes()));
        if let Err(error) = written {
            eprintln!("STOP could not be logged: {error}");
        }
        // SAFETY: ending the process asks for nothing.
        let this = unsafe { GetCurrentProcess() };
        // SAFETY: the handle is this process's own. Other threads may hold any lock, so none of
        // what an orderly exit does may run.
        unsafe { TerminateProcess(this, STOPPED) };
    }

    fn token(&self) -> u64 {
        lab().token.map_or(0, |token| {
            // SAFETY: the export has this signature and no requirements.
            unsafe { token() }
        })
    }

    fn irql(&self) -> u8 {
        lab().irql.map_or(0, |irql| {
            // SAFETY: the export has this signature and no requirements.
            unsafe { irql() }
        })
    }

    fn call_back(&self, irql: u8, callback: Callback, context: usize) {
        let Some(call) = lab().call_back else {
            callback.invoke(context);
            return;
        };
        let callback = ptr::from_ref(&callback).expose_provenance();
        // SAFETY: the export has this signature, and passes on what `invoke` wants before it returns.
        unsafe { call(irql, invoke, callback, context) };
    }

    fn is_accessible(&self, address: usize, length: usize, writing: bool) -> bool {
        if !checks::COSTLY {
            return true;
        }
        let mut at = address;
        while at < address.saturating_add(length) {
            let mut information = MEMORY_BASIC_INFORMATION::default();
            let pointer = ptr::without_provenance::<c_void>(at);
            let size = mem::size_of_val(&information);
            // SAFETY: the function looks at any address, and writes what it is given room for.
            let known = unsafe { VirtualQuery(pointer, &raw mut information, size) };
            let protection = information.Protect;
            let writable = PAGE_READWRITE | PAGE_WRITECOPY | PAGE_EXECUTE_READWRITE;
            if known == 0
                || information.State != MEM_COMMIT
                || protection & (PAGE_NOACCESS | PAGE_GUARD) != 0
                || (writing && protection & writable == 0)
            {
                return false;
            }
            at = information.BaseAddress.addr() + information.RegionSize;
        }
        true
    }

    fn account(&self) -> String {
        let Some(account) = lab().account else {
            return SYSTEM.to_owned();
        };
        let mut name = [0; LONGEST_NAME];
        // SAFETY: the export has this signature, and the buffer is as large as said.
        let length = unsafe { account(name.as_mut_ptr(), name.len()) };
        match name.get(..length) {
            Some([]) => SYSTEM.to_owned(),
            Some(name) => String::from_utf16_lossy(name),
            // Nobody's key is for whoever that is.
            None => String::new(),
        }
    }

    fn key(&self, wanted: &Wanted) -> Option<Key> {
        certificate_store::key(wanted)
    }

    fn roots(&self) -> Vec<CertificateDer<'static>> {
        certificate_store::roots()
    }
}

/// Invokes the callback at an address.
unsafe extern "system" fn invoke(callback: usize, context: usize) {
    // SAFETY: `call_back` has passed the address of one that it keeps until this has returned.
    let callback = unsafe { ptr::with_exposed_provenance::<Callback>(callback).read() };
    callback.invoke(context);
}

/// The driver has called this module.
pub fn enter() {
    if let Some(enter) = lab().enter {
        // SAFETY: the export has this signature and no requirements.
        unsafe { enter() };
    }
}

/// This module returns into the driver.
pub fn leave() {
    if let Some(leave) = lab().leave {
        // SAFETY: the export has this signature and no requirements.
        unsafe { leave() };
    }
}

/// Calls the driver: at an IRQL, a function with two arguments.
type CallBack =
    unsafe extern "system" fn(u8, unsafe extern "system" fn(usize, usize), usize, usize);

/// What the KMDF stand-in exports for this module; absent when it is not loaded.
struct Lab {
    token: Option<unsafe extern "system" fn() -> u64>,
    /// Writes the name of the current token's account and returns its length in UTF-16 units, 0 when
    /// that is unknown.
    account: Option<unsafe extern "C" fn(*mut u16, usize) -> usize>,
    irql: Option<unsafe extern "system" fn() -> u8>,
    call_back: Option<CallBack>,
    enter: Option<unsafe extern "system" fn()>,
    leave: Option<unsafe extern "system" fn()>,
}

fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| {
        let find = |name: &CStr| {
            // SAFETY: the name is a terminated string.
            let module = unsafe { GetModuleHandleW(windows_sys::w!("wdfldr.sys")) };
            if module.is_null() {
                return None;
            }
            // SAFETY: the module is loaded, and stays: the driver imports it.
            unsafe { GetProcAddress(module, name.as_ptr().cast()) }
        };
        Lab {
            // SAFETY: this export has this signature.
            token: find(c"LabCurrentToken").map(|f| unsafe { mem::transmute(f) }),
            // SAFETY: this export has this signature.
            account: find(c"LabTokenAccount").map(|f| unsafe { mem::transmute(f) }),
            // SAFETY: this export has this signature.
            irql: find(c"LabCurrentIrql").map(|f| unsafe { mem::transmute(f) }),
            // SAFETY: this export has this signature.
            call_back: find(c"LabCallBack").map(|f| unsafe { mem::transmute(f) }),
            // SAFETY: this export has this signature.
            enter: find(c"LabEnter").map(|f| unsafe { mem::transmute(f) }),
            // SAFETY: this export has this signature.
            leave: find(c"LabLeave").map(|f| unsafe { mem::transmute(f) }),
        }
    })
}
