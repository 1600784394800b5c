//! The two handshake functions, which differ in little but their flags.

use core::ptr;
use tlsgate_protocol::{Role, payload::credential as flag};
use wdk_sys::{
    ASC_REQ_CONFIDENTIALITY, ASC_REQ_EXTENDED_ERROR, ASC_REQ_MUTUAL_AUTH, ASC_REQ_SEQUENCE_DETECT,
    ASC_REQ_SESSION_TICKET, ASC_REQ_STREAM, ISC_REQ_CONFIDENTIALITY, ISC_REQ_EXTENDED_ERROR,
    ISC_REQ_MANUAL_CRED_VALIDATION, ISC_REQ_SEQUENCE_DETECT, ISC_REQ_STREAM,
    ISC_REQ_USE_SUPPLIED_CREDS, PCtxtHandle, PSecBufferDesc, SECURITY_NATIVE_DREP, SECURITY_STATUS,
    SecHandle, SspiAsyncContext, UNICODE_STRING,
    ntddk::{SspiAcceptSecurityContextAsync, SspiInitializeSecurityContextAsyncW},
};

/// The addresses of one call. They lie in an operation and in its session.
pub struct HandshakeArguments {
    /// Which of the two functions.
    pub role: Role,
    /// `fContextReq`: [`requirements`].
    pub requirements: u32,
    /// `phCredential`.
    pub credential: *mut SecHandle,
    /// `phContext`: null until there is one.
    pub context: PCtxtHandle,
    /// `pszTargetName`, a client's: [`TargetName`](super::TargetName), null after the first call.
    pub target: *mut UNICODE_STRING,
    /// `phNewContext`.
    pub new_context: PCtxtHandle,
    /// `pInput`: null when there is none.
    pub input: PSecBufferDesc,
    /// `pOutput`.
    pub output: PSecBufferDesc,
    /// `pfContextAttr`.
    pub attributes: *mut u32,
}

/// msquic's flags. The numbers of `ASC_REQ_*` and `ISC_REQ_*` differ: never mix them.
const SERVER: u32 =
    ASC_REQ_SEQUENCE_DETECT | ASC_REQ_CONFIDENTIALITY | ASC_REQ_EXTENDED_ERROR | ASC_REQ_STREAM;
/// As above. With supplied credentials only, Schannel sends no certificate of its own choice, and does
/// not stop to ask for one (`SEC_I_INCOMPLETE_CREDENTIALS`).
const CLIENT: u32 = ISC_REQ_SEQUENCE_DETECT
    | ISC_REQ_CONFIDENTIALITY
    | ISC_REQ_EXTENDED_ERROR
    | ISC_REQ_STREAM
    | ISC_REQ_USE_SUPPLIED_CREDS;

/// `fContextReq` for sessions of a credential with these [`flag`]s.
pub const fn requirements(role: Role, flags: u32) -> u32 {
    let mut requirements = match role {
        Role::Server => SERVER,
        Role::Client => CLIENT,
    };
    match role {
        Role::Server => {
            // Without it no ticket is given out (msquic's pull request 1325).
            if flags & flag::NO_RESUMPTION == 0 {
                requirements |= ASC_REQ_SESSION_TICKET;
            }
            if flags & flag::REQUEST_CLIENT_CERTIFICATE != 0 {
                requirements |= ASC_REQ_MUTUAL_AUTH;
            }
        }
        Role::Client => {
            if flags & flag::MANUAL_CHECK != 0 {
                requirements |= ISC_REQ_MANUAL_CRED_VALIDATION;
            }
        }
    }
    requirements
}

impl HandshakeArguments {
    /// Makes the call. IRQL: PASSIVE_LEVEL. The expiry is left out: Schannel wants none before the last
    /// call.
    ///
    /// # Safety
    ///
    /// `context` is ready for a call, and the addresses are good until its callback.
    pub unsafe fn call(&self, context: *mut SspiAsyncContext) -> SECURITY_STATUS {
        match self.role {
            // SAFETY: this function's contract.
            Role::Server => unsafe {
                SspiAcceptSecurityContextAsync(
                    context,
                    self.credential,
                    self.context,
                    self.input,
                    self.requirements,
                    0,
                    self.new_context,
                    self.output,
                    self.attributes,
                    ptr::null_mut(),
                )
            },
            // SAFETY: as above.
            Role::Client => unsafe {
                SspiInitializeSecurityContextAsyncW(
                    context,
                    self.credential,
                    self.context,
                    self.target,
                    self.requirements,
                    0,
                    SECURITY_NATIVE_DREP,
                    self.input,
                    0,
                    self.new_context,
                    self.output,
                    self.attributes,
                    ptr::null_mut(),
                )
            },
        }
    }
}
