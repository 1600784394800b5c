//! Faults with access tokens.

use crate::{faults::Fault, threads};
use core::ptr;
use wdk_sys::{
    _SECURITY_IMPERSONATION_LEVEL::SecurityImpersonation,
    SECURITY_CLIENT_CONTEXT, SECURITY_IMPERSONATION_LEVEL, SECURITY_QUALITY_OF_SERVICE,
    SECURITY_SUBJECT_CONTEXT,
    ntddk::{
        PsDereferencePrimaryToken, PsRevertToSelf, SeCaptureSubjectContext,
        SeCreateClientSecurityFromSubjectContext, SeImpersonateClientEx, SeReleaseSubjectContext,
    },
};

/// `SECURITY_DYNAMIC_TRACKING`
const DYNAMIC_TRACKING: u8 = 1;
/// No `SECURITY_IMPERSONATION_LEVEL`.
const NO_LEVEL: SECURITY_IMPERSONATION_LEVEL = 7;

/// Commits the fault if it is one with tokens.
pub fn commit(fault: Fault) {
    match fault {
        Fault::LeftImpersonating => impersonate(),
        Fault::WaitImpersonating => {
            impersonate();
            threads::sleep();
        }
        Fault::RevertWithoutImpersonation => {
            // SAFETY: none is meant: the lab judges the call.
            unsafe { PsRevertToSelf() };
        }
        Fault::ImpersonatedTwice => {
            impersonate();
            impersonate();
        }
        Fault::ImpersonationLevel => _ = client_at(NO_LEVEL),
        Fault::TokenUsedAfterFree => {
            let mut client = client();
            // SAFETY: a reference of this function's own.
            unsafe { PsDereferencePrimaryToken(client.ClientToken) };
            // SAFETY: none is meant: the lab judges the call.
            let _status = unsafe { SeImpersonateClientEx(&raw mut client, ptr::null_mut()) };
        }
        Fault::TokenLeak => _ = client(),
        Fault::TokenOverDereference => {
            let client = client();
            for _ in 0..2 {
                // SAFETY: none is meant: the lab judges the call.
                unsafe { PsDereferencePrimaryToken(client.ClientToken) };
            }
        }
        _ => (),
    }
}

/// Captures the current thread's security context, and keeps it.
pub fn capture() -> SECURITY_SUBJECT_CONTEXT {
    let mut subject = SECURITY_SUBJECT_CONTEXT::default();
    // SAFETY: the place for the result is ours.
    unsafe { SeCaptureSubjectContext(&raw mut subject) };
    subject
}

/// Impersonates whoever the current thread is, and gives nothing back.
pub fn impersonate() {
    let mut client = client();
    // SAFETY: the context was made above; NULL is the current thread.
    let _status = unsafe { SeImpersonateClientEx(&raw mut client, ptr::null_mut()) };
}

fn client() -> SECURITY_CLIENT_CONTEXT {
    client_at(SecurityImpersonation)
}

fn client_at(level: SECURITY_IMPERSONATION_LEVEL) -> SECURITY_CLIENT_CONTEXT {
    let mut subject = capture();
    let mut quality = SECURITY_QUALITY_OF_SERVICE {
        #[expect(clippy::cast_possible_truncation, reason = "12 bytes")]
        Length: size_of::<SECURITY_QUALITY_OF_SERVICE>() as u32,
        ImpersonationLevel: level,
        ContextTrackingMode: DYNAMIC_TRACKING as _,
        EffectiveOnly: 0,
    };
    let mut client = SECURITY_CLIENT_CONTEXT::default();
    // SAFETY: all three live across the call.
    let _status = unsafe {
        SeCreateClientSecurityFromSubjectContext(
            &raw mut subject,
            &raw mut quality,
            0,
            &raw mut client,
        )
    };
    // SAFETY: captured above, released once.
    unsafe { SeReleaseSubjectContext(&raw mut subject) };
    client
}
