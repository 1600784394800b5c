//! The caller's token: captured when a request arrives, impersonated around a call to ksecdd.
//!
//! A driver that issued its calls as System would lend everybody the machine's keys. msquic, too,
//! impersonates the acquiring caller around every handshake call (its pull request 1652).

use super::check;
use crate::kmdf::{NO, YES};
use core::{marker::PhantomData, ptr};
use tlsgate_protocol::NtStatus;
use wdk_sys::{
    _SECURITY_IMPERSONATION_LEVEL::SecurityImpersonation,
    SECURITY_CLIENT_CONTEXT, SECURITY_QUALITY_OF_SERVICE, SECURITY_SUBJECT_CONTEXT,
    ntddk::{
        PsDereferenceImpersonationToken, PsDereferencePrimaryToken, PsRevertToSelf,
        SeCaptureSubjectContext, SeCreateClientSecurityFromSubjectContext, SeImpersonateClientEx,
        SeReleaseSubjectContext,
    },
};

/// A caller's identity: its thread's token if it impersonated, else its process's.
pub struct Client {
    context: SECURITY_CLIENT_CONTEXT,
    is_primary: bool,
}

// SAFETY: a token is referenced, and may be used from any thread.
unsafe impl Send for Client {}
// SAFETY: only read after capture.
unsafe impl Sync for Client {}

impl Client {
    /// Captures the current thread's identity. IRQL: PASSIVE_LEVEL, in the caller's thread.
    ///
    /// # Errors
    ///
    /// STATUS_BAD_IMPERSONATION_LEVEL when the caller impersonates below `SecurityImpersonation`:
    /// its process's identity is never taken instead
    /// (`SeCreateClientSecurityFromSubjectContext`'s documentation).
    pub fn capture() -> Result<Self, NtStatus> {
        let mut subject = SECURITY_SUBJECT_CONTEXT::default();
        // SAFETY: the structure is ours to fill.
        unsafe { SeCaptureSubjectContext(&raw mut subject) };
        let mut quality = SECURITY_QUALITY_OF_SERVICE {
            #[expect(clippy::cast_possible_truncation, reason = "12 bytes")]
            Length: size_of::<SECURITY_QUALITY_OF_SERVICE>() as u32,
            ImpersonationLevel: SecurityImpersonation,
            // SECURITY_DYNAMIC_TRACKING is TRUE.
            ContextTrackingMode: YES,
            EffectiveOnly: NO,
        };
        let mut client = SECURITY_CLIENT_CONTEXT::default();
        // SAFETY: the subject context was captured above; all three live across the call.
        let created = check(unsafe {
            SeCreateClientSecurityFromSubjectContext(
                &raw mut subject,
                &raw mut quality,
                NO,
                &raw mut client,
            )
        });
        // As the macro SeQuerySubjectContextToken has it: the primary token counts when there is
        // no client's.
        let is_primary = subject.ClientToken.is_null();
        // SAFETY: captured above, released once.
        unsafe { SeReleaseSubjectContext(&raw mut subject) };
        created.map(|()| Self {
            context: client,
            is_primary,
        })
    }

    /// Makes the current thread act as the client until the guard is dropped.
    /// IRQL: PASSIVE_LEVEL, on a thread of the driver's own.
    ///
    /// # Errors
    ///
    /// What `SeImpersonateClientEx` says.
    pub fn impersonate(&self) -> Result<Impersonation<'_>, NtStatus> {
        let mut context = self.context;
        // SAFETY: the copy's token is referenced by `self`; a null thread is the current one.
        check(unsafe { SeImpersonateClientEx(&raw mut context, ptr::null_mut()) })?;
        Ok(Impersonation(PhantomData))
    }
}

impl Drop for Client {
    /// What the macro `SeDeleteClientSecurity` of the WDK does. IRQL: PASSIVE_LEVEL.
    fn drop(&mut self) {
        if self.is_primary {
            // SAFETY: the reference was taken by `capture`.
            unsafe { PsDereferencePrimaryToken(self.context.ClientToken) };
        } else {
            // SAFETY: as above.
            unsafe { PsDereferenceImpersonationToken(self.context.ClientToken) };
        }
    }
}

/// The current thread impersonates; dropping this reverts it.
#[must_use]
pub struct Impersonation<'a>(PhantomData<(&'a Client, *mut ())>);

impl Drop for Impersonation<'_> {
    fn drop(&mut self) {
        // SAFETY: this thread impersonates (`Client::impersonate`; the guard does not leave it).
        unsafe { PsRevertToSelf() };
    }
}
