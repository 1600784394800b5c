//! Calls that go wrong on purpose.

use serde::{Deserialize, Serialize};

/// A function of `ksecdd.sys`.
#[expect(missing_docs, reason = "the functions' own names")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Function {
    SspiCreateAsyncContext,
    SspiFreeAsyncContext,
    SspiReinitAsyncContext,
    SspiSetAsyncNotifyCallback,
    SspiAsyncContextRequiresNotify,
    SspiGetAsyncCallStatus,
    SspiAcquireCredentialsHandleAsyncW,
    SspiAcceptSecurityContextAsync,
    SspiInitializeSecurityContextAsyncW,
    SspiDeleteSecurityContextAsync,
    SspiFreeCredentialsHandleAsync,
    QueryContextAttributesW,
    SealMessage,
    UnsealMessage,
    FreeContextBuffer,
    DeleteSecurityContext,
    FreeCredentialsHandle,
}

impl Function {
    /// Each, in the order of their discriminants.
    pub const ALL: [Self; 17] = [
        Self::SspiCreateAsyncContext,
        Self::SspiFreeAsyncContext,
        Self::SspiReinitAsyncContext,
        Self::SspiSetAsyncNotifyCallback,
        Self::SspiAsyncContextRequiresNotify,
        Self::SspiGetAsyncCallStatus,
        Self::SspiAcquireCredentialsHandleAsyncW,
        Self::SspiAcceptSecurityContextAsync,
        Self::SspiInitializeSecurityContextAsyncW,
        Self::SspiDeleteSecurityContextAsync,
        Self::SspiFreeCredentialsHandleAsync,
        Self::QueryContextAttributesW,
        Self::SealMessage,
        Self::UnsealMessage,
        Self::FreeContextBuffer,
        Self::DeleteSecurityContext,
        Self::FreeCredentialsHandle,
    ];

    /// Whether its result comes by a callback.
    #[must_use]
    pub fn is_asynchronous(self) -> bool {
        matches!(
            self,
            Self::SspiAcquireCredentialsHandleAsyncW
                | Self::SspiAcceptSecurityContextAsync
                | Self::SspiInitializeSecurityContextAsyncW
                | Self::SspiDeleteSecurityContextAsync
                | Self::SspiFreeCredentialsHandleAsync
        )
    }

    /// Whether it is documented to fail: `SspiFreeAsyncContext` returns nothing,
    /// `SspiAsyncContextRequiresNotify` a BOOLEAN.
    fn can_fail(self) -> bool {
        !matches!(
            self,
            Self::SspiFreeAsyncContext | Self::SspiAsyncContextRequiresNotify
        )
    }
}

/// One call that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Of which function.
    pub function: Function,
    /// Which call of it, counted from when the switches were set; the next one is 1.
    pub nth: u64,
    /// What happens.
    pub effect: Effect,
}

impl Fault {
    /// Whether the effect can hit the function: what returns its result at once has no callback to
    /// lose, and what returns no status cannot fail.
    #[must_use]
    pub fn fits(&self) -> bool {
        match self.effect {
            Effect::Refused(_) => self.function.can_fail(),
            Effect::Completed(_)
            | Effect::RefusedWithCallback(_)
            | Effect::CallbackLost(_)
            | Effect::CompletedLateAfter { .. }
            | Effect::Unannounced
            | Effect::Never => self.function.is_asynchronous(),
        }
    }
}

/// What happens to a call that a [`Fault`] hits. Unless said otherwise it does none of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// It returns this status and never calls back; `SspiCreateAsyncContext` returns NULL, and
    /// `SspiReinitAsyncContext` takes the status for its NTSTATUS.
    Refused(i32),
    /// It returns this status, and calls back nevertheless.
    RefusedWithCallback(i32),
    /// It is accepted and completes with this status.
    Completed(i32),
    /// It is accepted, its status becomes this one, and the callback never comes, unless
    /// [`super::Question::Release`] delivers it ([`super::Switches::lost_callbacks_delivered`]).
    CallbackLost(i32),
    /// It is accepted and completes on another thread only after this time: with the status if there
    /// is one, else it does its work then and completes with what came of it.
    CompletedLateAfter {
        /// The status to complete with; `None` for the work's own.
        status: Option<i32>,
        /// Milliseconds.
        ms: u64,
    },
    /// It is accepted, does its work and completes, and owes no callback: from then on
    /// `SspiAsyncContextRequiresNotify` says FALSE, and the context may be freed. (Its page has it tell
    /// whether completion needs notification; that an async context may not is *assumed*.)
    Unannounced,
    /// It is accepted and neither completes nor calls back until [`super::Question::Release`]; then it
    /// does its work.
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_happen_does_not_fit() {
        let fits = |function, effect| {
            Fault {
                function,
                nth: 1,
                effect,
            }
            .fits()
        };
        assert!(fits(Function::SealMessage, Effect::Refused(-1)));
        assert!(!fits(Function::SealMessage, Effect::Never));
        assert!(!fits(Function::SealMessage, Effect::Completed(-1)));
        assert!(fits(
            Function::SspiDeleteSecurityContextAsync,
            Effect::Never
        ));
        assert!(!fits(Function::SspiFreeAsyncContext, Effect::Refused(-1)));
    }
}
