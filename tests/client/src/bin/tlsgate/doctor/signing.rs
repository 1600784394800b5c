//! Whether Windows accepts test signatures: `SystemCodeIntegrityInformation`, as the reference of
//! `NtQuerySystemInformation` documents it.

use super::report::TestSigning;
use std::ptr;
use windows_sys::{
    Wdk::System::SystemInformation::{NtQuerySystemInformation, SystemCodeIntegrityInformation},
    Win32::System::WindowsProgramming::SYSTEM_CODEINTEGRITY_INFORMATION,
};

/// `CODEINTEGRITY_OPTION_TESTSIGN`
const TEST_SIGN: u32 = 2;

/// Asks.
pub fn test_signing() -> TestSigning {
    const SIZE: u32 = 8;
    const { assert!(size_of::<SYSTEM_CODEINTEGRITY_INFORMATION>() == SIZE as usize) };
    let mut information = SYSTEM_CODEINTEGRITY_INFORMATION {
        Length: SIZE,
        CodeIntegrityOptions: 0,
    };
    // SAFETY: the structure is the one of this class and as long as it is said to be; the returned
    // length may be left out.
    let status = unsafe {
        NtQuerySystemInformation(
            SystemCodeIntegrityInformation,
            (&raw mut information).cast(),
            SIZE,
            ptr::null_mut(),
        )
    };
    match status {
        0.. if information.CodeIntegrityOptions & TEST_SIGN != 0 => TestSigning::On,
        0.. => TestSigning::Off,
        _ => TestSigning::Unknown,
    }
}
