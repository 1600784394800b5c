//! The functions of `ksecdd.sys`, one file each or a family.
//!
//! * [`async_context`]: `SspiCreateAsyncContext` and what is done with async contexts
//! * [`acquire`]: `SspiAcquireCredentialsHandleAsyncW`, `SspiFreeCredentialsHandleAsync`,
//!   `FreeCredentialsHandle`
//! * [`leg`]: `SspiAcceptSecurityContextAsync`, `SspiInitializeSecurityContextAsyncW`
//! * [`delete`]: `SspiDeleteSecurityContextAsync`, `DeleteSecurityContext`
//! * [`query`]: `QueryContextAttributesW`, `FreeContextBuffer`
//! * [`message`]: `SealMessage`, `UnsealMessage`

pub mod acquire;
pub mod async_context;
pub mod delete;
pub mod leg;
pub mod message;
pub mod query;
#[cfg(test)]
pub mod tests;
