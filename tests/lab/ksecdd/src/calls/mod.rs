//! The functions of `ksecdd.sys`, one file each or a family.
//!
//! * [`async_context`]: `SspiCreateAsyncContext` and what is done with async contexts
//! * [`acquire`]: `SspiAcquireCredentialsHandleAsyncW`, `SspiFreeCredentialsHandleAsync`,
//!   `FreeCredentialsHandle`
//! * [`leg`]: `SspiAcceptSecurityContextAsync`, `SspiInitializeSecurityContextAsyncW`
//!   * [`beginning`]: what a first one makes a security context of
//!   * [`results`]: where its results go
//! * [`delete`]: `SspiDeleteSecurityContextAsync`, `DeleteSecurityContext`
//! * [`query`]: `QueryContextAttributesW`, `FreeContextBuffer`
//! * [`message`]: `SealMessage`, `UnsealMessage`

pub mod acquire;
pub mod async_context;
pub mod beginning;
pub mod delete;
pub mod leg;
pub mod message;
pub mod query;
pub mod results;
#[cfg(test)]
pub mod tests;
