//! `SspiAcceptSecurityContextAsync` and `SspiInitializeSecurityContextAsyncW`: one leg of a
//! handshake, or of what follows it.

use crate::{
    calls::{beginning::Beginning, results::Results},
    context::{Making, SecurityContext, Use, Used},
    credential::CredentialUse,
    issue::Work,
    ksecdd::Ksecdd,
    machine::Actor,
    memory::Watch,
    rules::{Checked, OTHER_TOKEN, WRONG_DATA_REPRESENTATION, WRONG_REQUEST_FLAGS, broken, check},
    tls::outcome::Outcome,
};
use std::{ffi::c_void, sync::Arc};
use tlsgate_lab_control::ksecdd::{Function, Switches, TokenUse};
use windows_sys::Win32::{
    Foundation::{
        SEC_E_BUFFER_TOO_SMALL, SEC_E_INCOMPLETE_MESSAGE, SEC_E_INVALID_HANDLE,
        SEC_E_NO_CREDENTIALS, SEC_E_OK, UNICODE_STRING,
    },
    Security::{
        Authentication::Identity::{
            ASC_REQ_CONFIDENTIALITY, ASC_REQ_EXTENDED_ERROR, ASC_REQ_MUTUAL_AUTH,
            ASC_REQ_REPLAY_DETECT, ASC_REQ_SEQUENCE_DETECT, ASC_REQ_SESSION_TICKET, ASC_REQ_STREAM,
            ISC_REQ_CONFIDENTIALITY, ISC_REQ_EXTENDED_ERROR, ISC_REQ_MANUAL_CRED_VALIDATION,
            ISC_REQ_MUTUAL_AUTH, ISC_REQ_REPLAY_DETECT, ISC_REQ_SEQUENCE_DETECT, ISC_REQ_STREAM,
            ISC_REQ_USE_SUPPLIED_CREDS, SECURITY_NATIVE_DREP, SecBufferDesc,
        },
        Credentials::SecHandle,
    },
};

/// What either function is given.
pub struct Leg {
    pub async_context: *mut c_void,
    pub credential: *const SecHandle,
    pub context: *const SecHandle,
    pub target: *const UNICODE_STRING,
    pub request: u32,
    pub data_representation: u32,
    pub input: *const SecBufferDesc,
    pub new_context: *mut SecHandle,
    pub output: *const SecBufferDesc,
    pub attributes: *mut u32,
    pub expiry: *mut i64,
}

/// Which flags a leg must have and may have.
struct Flags {
    required: u32,
    allowed: u32,
}

/// `fContextReq` of an accept (microsoft/msquic; `AcceptSecurityContext` (Schannel)).
const ACCEPT: Flags = Flags {
    required: ASC_REQ_CONFIDENTIALITY | ASC_REQ_EXTENDED_ERROR | ASC_REQ_STREAM,
    allowed: ASC_REQ_SEQUENCE_DETECT
        | ASC_REQ_REPLAY_DETECT
        | ASC_REQ_SESSION_TICKET
        | ASC_REQ_MUTUAL_AUTH,
};

/// `fContextReq` of an initialize.
const INITIALIZE: Flags = Flags {
    required: ISC_REQ_CONFIDENTIALITY | ISC_REQ_EXTENDED_ERROR | ISC_REQ_STREAM,
    allowed: ISC_REQ_SEQUENCE_DETECT
        | ISC_REQ_REPLAY_DETECT
        | ISC_REQ_USE_SUPPLIED_CREDS
        | ISC_REQ_MANUAL_CRED_VALIDATION
        | ISC_REQ_MUTUAL_AUTH,
};

impl Ksecdd {
    /// `SspiAcceptSecurityContextAsync`.
    ///
    /// # Safety
    ///
    /// What pointers to accessible memory point to is of the type they say.
    pub unsafe fn accept_security_context_async(self: &Arc<Self>, leg: &Leg) -> Checked<i32> {
        // SAFETY: as this function's caller asserts.
        unsafe { self.leg(Function::SspiAcceptSecurityContextAsync, leg, true) }
    }

    /// `SspiInitializeSecurityContextAsyncW`.
    ///
    /// # Safety
    ///
    /// What pointers to accessible memory point to is of the type they say.
    pub unsafe fn initialize_security_context_async(self: &Arc<Self>, leg: &Leg) -> Checked<i32> {
        // SAFETY: as this function's caller asserts.
        unsafe { self.leg(Function::SspiInitializeSecurityContextAsyncW, leg, false) }
    }

    /// # Safety
    ///
    /// What pointers to accessible memory point to is of the type they say.
    unsafe fn leg(self: &Arc<Self>, function: Function, leg: &Leg, accepts: bool) -> Checked<i32> {
        self.enter(function)?;
        let machine = &*self.machine;
        let async_context = self.async_context(leg.async_context.addr())?;
        check_flags(if accepts { &ACCEPT } else { &INITIALIZE }, leg)?;
        let mut watch = Watch::default();
        // SAFETY: as this function's caller asserts.
        let results = unsafe { Results::read(self, leg, accepts, &mut watch) }?;
        let first = leg.context.is_null();
        async_context.begin(&format!("{function:?}"), false)?;
        // SAFETY: as this function's caller asserts.
        let Some(credential) = (unsafe { self.credential(leg.credential) })?
            .and_then(super::super::credential::Credential::begin)
        else {
            async_context.refuse();
            return Ok(SEC_E_INVALID_HANDLE);
        };
        let switches = self.switches();
        let refused = other_token(&Actor::current(machine), &credential, switches.token)?;
        let context = if first {
            let target = if leg.target.is_null() {
                String::new()
            } else {
                // SAFETY: as this function's caller asserts.
                unsafe { self.read_string("pszTargetName", leg.target, &mut watch) }?
            };
            let beginning = Beginning {
                credential,
                accepts,
                alpn: results.input.protocols.clone(),
                target: &target,
                request: leg.request,
            };
            match beginning.make(&switches)? {
                Ok(making) => Context::First(Box::new(making)),
                Err(status) => {
                    async_context.refuse();
                    return Ok(status);
                }
            }
        } else {
            // SAFETY: as this function's caller asserts.
            match (unsafe { self.context(leg.context) })? {
                Some(context) if context.accepts == accepts => {
                    Context::Later(context.begin(Use::Leg)?)
                }
                _ => {
                    async_context.refuse();
                    return Ok(SEC_E_INVALID_HANDLE);
                }
            }
        };
        let work = if refused {
            Box::new(move || {
                drop(context);
                Ok(SEC_E_NO_CREDENTIALS)
            })
        } else {
            Arc::clone(self).work_of(context, results, watch, switches)
        };
        Ok(self.issue(function, &async_context, work))
    }

    fn work_of(
        self: Arc<Self>,
        context: Context,
        results: Results,
        watch: Watch,
        switches: Arc<Switches>,
    ) -> Work {
        Box::new(move || {
            // SAFETY: until the callback the memory is the call's, says the contract.
            unsafe { watch.verify(&*self.machine) }?;
            let input = results.input.token();
            // SAFETY: it has just been found accessible, and is the call's.
            let input = input.map_or(&[][..], |token| unsafe { token.read() });
            let room = results.output.room();
            let (outcome, context) = match context {
                Context::First(making) => self.first_leg(*making, input, room, &switches)?,
                Context::Later(used) => (
                    used.context.leg(input, room, &switches)?,
                    Some(Arc::clone(&used.context)),
                ),
            };
            // SAFETY: until the callback the memory is the call's, says the contract.
            unsafe { results.write(&outcome, input.len(), context.as_deref(), &switches) };
            Ok(outcome.status)
        })
    }

    /// A first leg, and the context that it leaves. An incomplete message leaves none ("keep
    /// passing phContext NULL"); whether an error does is a switch.
    fn first_leg(
        &self,
        making: Making,
        input: &[u8],
        room: usize,
        switches: &Switches,
    ) -> Checked<(Outcome, Option<Arc<SecurityContext>>)> {
        let context = self.contexts.insert(|id| SecurityContext::new(id, making));
        let outcome = context.leg(input, room, switches)?;
        let stays = match outcome.status {
            SEC_E_INCOMPLETE_MESSAGE => false,
            SEC_E_BUFFER_TOO_SMALL => switches.too_small_makes_context,
            status => status >= SEC_E_OK || switches.failure_makes_context,
        };
        if !stays {
            self.contexts.remove(context.id);
        }
        Ok((outcome, stays.then_some(context)))
    }
}

/// Whether a leg is under another token than its credential and must fail for that. (Schannel must see
/// the same caller as when the credential was acquired: microsoft/msquic, pull 1652.)
fn other_token(actor: &Actor, credential: &CredentialUse, checked: TokenUse) -> Checked<bool> {
    let owner = &credential.0.owner;
    match checked {
        _ if actor == owner => Ok(false),
        TokenUse::Stopped => broken(OTHER_TOKEN, format!("{actor:x?}, not {owner:x?}")),
        TokenUse::Refused => Ok(true),
        TokenUse::InWorker | TokenUse::Ignored => Ok(false),
    }
}

fn check_flags(flags: &Flags, leg: &Leg) -> Checked<()> {
    let Flags { required, allowed } = *flags;
    check(
        leg.request & required == required && leg.request & !(required | allowed) == 0,
        WRONG_REQUEST_FLAGS,
        || {
            format!(
                "{:#x}, required {required:#x}, allowed {allowed:#x}",
                leg.request
            )
        },
    )?;
    let representation = leg.data_representation;
    check(
        representation == 0 || representation == SECURITY_NATIVE_DREP,
        WRONG_DATA_REPRESENTATION,
        || format!("{representation:#x}"),
    )
}

/// The context a leg is of.
enum Context {
    First(Box<Making>),
    Later(Used),
}
