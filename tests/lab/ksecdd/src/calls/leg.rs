//! `SspiAcceptSecurityContextAsync` and `SspiInitializeSecurityContextAsyncW`: one leg of a
//! handshake, or of what follows it.

use crate::{
    buffers::{Input, Output},
    calls::acquire::NEVER,
    context::{SecurityContext, Use, Used},
    credential::{CredentialUse, Role},
    handles::{self, Kind},
    ksecdd::{Ksecdd, Work},
    memory::{Place, Watch, get},
    rules::{
        Checked, INPUT_CHANGED, NEW_CONTEXT, NULL_ARGUMENT, OTHER_TOKEN, OUTPUT_TOUCHED,
        WRONG_DATA_REPRESENTATION, WRONG_REQUEST_FLAGS, check,
    },
    tls::{config, engine::Engine, handshake::Connection, outcome::Outcome},
};
use std::{ffi::c_void, sync::Arc};
use tlsgate_lab_control::ksecdd::{Function, Switches};
use windows_sys::Win32::{
    Foundation::{
        SEC_E_BUFFER_TOO_SMALL, SEC_E_INCOMPLETE_MESSAGE, SEC_E_INTERNAL_ERROR,
        SEC_E_INVALID_HANDLE, SEC_E_OK, SEC_E_UNKNOWN_CREDENTIALS, UNICODE_STRING,
    },
    Security::{
        Authentication::Identity::{
            ASC_REQ_CONFIDENTIALITY, ASC_REQ_EXTENDED_ERROR, ASC_REQ_MUTUAL_AUTH,
            ASC_REQ_REPLAY_DETECT, ASC_REQ_SEQUENCE_DETECT, ASC_REQ_SESSION_TICKET, ASC_REQ_STREAM,
            ASC_RET_MUTUAL_AUTH, ISC_REQ_CONFIDENTIALITY, ISC_REQ_EXTENDED_ERROR,
            ISC_REQ_MANUAL_CRED_VALIDATION, ISC_REQ_MUTUAL_AUTH, ISC_REQ_REPLAY_DETECT,
            ISC_REQ_SEQUENCE_DETECT, ISC_REQ_STREAM, ISC_REQ_USE_SUPPLIED_CREDS,
            SECURITY_NATIVE_DREP, SecBufferDesc,
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
        let token = machine.token();
        check(
            !switches.token_checked || token == credential.0.token,
            OTHER_TOKEN,
            || format!("{token:#x}, not {:#x}", credential.0.token),
        )?;
        let context = if first {
            let target = if leg.target.is_null() {
                String::new()
            } else {
                // SAFETY: as this function's caller asserts.
                unsafe { self.read_string("pszTargetName", leg.target, &mut watch) }?
            };
            match Beginning::new(
                credential,
                accepts,
                &results.input,
                &target,
                leg.request,
                &switches,
            ) {
                Ok(beginning) => Context::First(Box::new(beginning)),
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
        let work = Arc::clone(self).work_of(context, results, watch, switches);
        Ok(self.issue(function, &async_context, work))
    }

    fn work_of(
        self: Arc<Self>,
        context: Context,
        results: Results,
        watch: Watch,
        switches: Switches,
    ) -> Work {
        Box::new(move || {
            // SAFETY: until the callback the memory is the call's, says the contract.
            unsafe { watch.verify(&*self.machine) }?;
            let input = results.input.token();
            // SAFETY: it has just been found accessible, and is the call's.
            let input = input.map_or(&[][..], |token| unsafe { token.read() });
            let room = results.output.room();
            let (outcome, context) = match context {
                Context::First(beginning) => self.first_leg(*beginning, input, room, &switches)?,
                Context::Later(used) => (
                    used.context.leg(input, room)?,
                    Some(Arc::clone(&used.context)),
                ),
            };
            // SAFETY: until the callback the memory is the call's, says the contract.
            unsafe { results.write(&outcome, input.len(), context.as_deref()) };
            Ok(outcome.status)
        })
    }

    /// A first leg, and the context that it leaves. An incomplete message leaves none ("keep
    /// passing phContext NULL"); whether an error does is a switch.
    fn first_leg(
        &self,
        beginning: Beginning,
        input: &[u8],
        room: usize,
        switches: &Switches,
    ) -> Checked<(Outcome, Option<Arc<SecurityContext>>)> {
        let Beginning {
            credential,
            accepts,
            engine,
        } = beginning;
        let context = self
            .contexts
            .insert(|id| SecurityContext::new(id, accepts, credential, engine));
        let outcome = context.leg(input, room)?;
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
    First(Box<Beginning>),
    Later(Used),
}

/// What a context will be made of.
struct Beginning {
    credential: CredentialUse,
    accepts: bool,
    engine: Engine,
}

impl Beginning {
    fn new(
        credential: CredentialUse,
        accepts: bool,
        input: &Input,
        target: &str,
        request: u32,
        switches: &Switches,
    ) -> Result<Self, i32> {
        let alpn = input.protocols.clone();
        let connection = match (&credential.0.role, accepts) {
            (Role::Server(server), true) => {
                let mutual = request & ASC_REQ_MUTUAL_AUTH != 0;
                let tickets = request & ASC_REQ_SESSION_TICKET != 0;
                config::accept(server, alpn, mutual, tickets).map(Connection::Server)
            }
            (Role::Client(client), false) => {
                config::initiate(client, target, alpn).map(Connection::Client)
            }
            _ => return Err(SEC_E_UNKNOWN_CREDENTIALS),
        };
        let connection = connection.map_err(|_| SEC_E_INTERNAL_ERROR)?;
        let engine = Engine::new(connection, switches.records, switches.fragments);
        Ok(Self {
            credential,
            accepts,
            engine,
        })
    }
}

/// Where a leg's input is and its results go.
struct Results {
    input: Input,
    output: Output,
    new_context: Place,
    attributes: Place,
    granted: u32,
    expiry: Option<Place>,
}

impl Results {
    /// # Safety
    ///
    /// What pointers to accessible memory point to is of the type they say.
    unsafe fn read(ksecdd: &Ksecdd, leg: &Leg, accepts: bool, watch: &mut Watch) -> Checked<Self> {
        let machine = &*ksecdd.machine;
        let first = leg.context.is_null();
        let input = if first && !accepts {
            // SAFETY: as this function's caller asserts.
            unsafe { Input::read_first_of_client(machine, leg.input) }?
        } else {
            // SAFETY: as this function's caller asserts.
            unsafe { Input::read(machine, leg.input, first) }?
        };
        // SAFETY: as this function's caller asserts.
        let output = unsafe { Output::read(machine, leg.output) }?;
        let new_context = Place::of(machine, "phNewContext", leg.new_context)?;
        if !first {
            // SAFETY: as this function's caller asserts.
            let old = unsafe { get(machine, "phContext", leg.context) }?;
            // SAFETY: as this function's caller asserts.
            let new = unsafe { get(machine, "phNewContext", leg.new_context) }?;
            check(
                (old.dwLower, old.dwUpper) == (new.dwLower, new.dwUpper),
                NEW_CONTEXT,
                || "phNewContext names another context than phContext".to_owned(),
            )?;
        }
        check(!leg.attributes.is_null(), NULL_ARGUMENT, || {
            "pfContextAttr".to_owned()
        })?;
        let attributes = Place::of(machine, "pfContextAttr", leg.attributes)?;
        let expiry = if leg.expiry.is_null() {
            None
        } else {
            Some(Place::of(machine, "ptsExpiry", leg.expiry)?)
        };
        // SAFETY: all of it was found accessible; the driver's call is under way.
        unsafe { input.watch(watch) };
        // SAFETY: likewise.
        unsafe { output.watch(watch) };
        for place in [Some(new_context), Some(attributes), expiry]
            .into_iter()
            .flatten()
        {
            // SAFETY: likewise.
            unsafe { watch.add(place, OUTPUT_TOUCHED, true) };
        }
        if !first {
            let place = Place::of(machine, "phContext", leg.context)?;
            // SAFETY: likewise.
            unsafe { watch.add(place, INPUT_CHANGED, false) };
        }
        let granted = leg.request & !(ASC_REQ_MUTUAL_AUTH | ASC_REQ_SESSION_TICKET);
        Ok(Self {
            input,
            output,
            new_context,
            attributes,
            granted,
            expiry,
        })
    }

    /// # Safety
    ///
    /// The memory is still there, and nobody else uses it.
    unsafe fn write(&self, outcome: &Outcome, input: usize, context: Option<&SecurityContext>) {
        if outcome.status != SEC_E_BUFFER_TOO_SMALL {
            // SAFETY: as this function's caller asserts.
            unsafe { self.output.fill(&outcome.token, outcome.alert) };
            let consumed_some = outcome.status >= SEC_E_OK;
            let extra = if consumed_some {
                input - outcome.consumed
            } else {
                0
            };
            // SAFETY: as this function's caller asserts.
            unsafe { self.input.report(extra, outcome.missing) };
        }
        let mut granted = self.granted;
        if let Some(context) = context {
            let handle = handles::handle(Kind::Context, context.id);
            // SAFETY: as this function's caller asserts.
            unsafe { self.new_context.put(handle) };
            let known = context.with_session(|session| !session.facts.peer_certificates.is_empty());
            if known == Some(true) {
                granted |= ASC_RET_MUTUAL_AUTH;
            }
        }
        // SAFETY: as this function's caller asserts.
        unsafe { self.attributes.put(granted) };
        if let Some(expiry) = self.expiry.filter(|_| outcome.status == SEC_E_OK) {
            // SAFETY: as this function's caller asserts.
            unsafe { expiry.put(NEVER) };
        }
    }
}
