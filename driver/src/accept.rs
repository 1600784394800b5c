//! ACCEPT: one server leg.

use crate::{
    buffer::{Buffer, Charge},
    credential::{Credential, CredentialUse},
    dispatch::{Outcome as Done, refuse, reply, write},
    gate::Gate,
    handle::Handle,
    kmdf::request::Request,
    memory::{Shared, try_concat},
    nt::token::Client,
    operation::{self, Operation, Work},
    pending::Pending,
    session::Session,
    sspi::{self, Exclusive, InputBuffers, Lent, OutputBuffers, is_valid, schannel},
};
use alloc::boxed::Box;
use core::ptr;
use tlsgate_core::{
    leg::{self, Admission, CallResult, Leg, Outcome, Step},
    record::{Alert, Place},
    session::Phase,
    ticket::Begin,
    usage::Refused,
};
use tlsgate_protocol::{
    Accept as AcceptRequest, CredentialId, NtStatus, SecurityStatus, SessionId, Target,
    payload::{LegReply, ReplyHead, state},
};
use wdk_sys::{
    ASC_REQ_CONFIDENTIALITY, ASC_REQ_EXTENDED_ERROR, ASC_REQ_SEQUENCE_DETECT,
    ASC_REQ_SESSION_TICKET, ASC_REQ_STREAM, PCtxtHandle, PSecBufferDesc,
    ntddk::SspiAcceptSecurityContextAsync,
};
use zerocopy::IntoBytes;

/// msquic's flags for a server. The numbers of `ASC_REQ_*` and `ISC_REQ_*` differ: never mix them.
const REQUIREMENTS: u32 = ASC_REQ_SEQUENCE_DETECT
    | ASC_REQ_CONFIDENTIALITY
    | ASC_REQ_EXTENDED_ERROR
    | ASC_REQ_STREAM
    | ASC_REQ_SESSION_TICKET;

/// A leg on its way. Everything a call refers to lies in here, or in the session.
pub struct Accept {
    right: Exclusive<Session>,
    id: SessionId,
    /// The leg made its session: without a reply nobody knows its id.
    made_session: bool,
    leg: Leg,
    input: Input,
    /// The copy that Schannel works on.
    working: Option<Buffer>,
    output: Option<Buffer>,
    input_buffers: InputBuffers,
    output_buffers: OutputBuffers,
    attributes: u32,
}

/// The caller's bytes as they came: a repeated call needs them unspoilt.
struct Input {
    copy: Buffer,
    /// What it costs while it waits; the other buffers are bounded by admission.
    _charge: Charge,
}

impl Input {
    fn copy_of(gate: &'static Gate, bytes: &[u8]) -> Result<Self, NtStatus> {
        let charge = Charge::take(gate, bytes.len()).ok_or(NtStatus::STATUS_QUOTA_EXCEEDED)?;
        let copy =
            Buffer::copy_of(&gate.blocks, bytes).ok_or(NtStatus::STATUS_INSUFFICIENT_RESOURCES)?;
        Ok(Self {
            copy,
            _charge: charge,
        })
    }
}

/// The addresses of one call.
struct Arguments {
    credential: *mut wdk_sys::SecHandle,
    context: PCtxtHandle,
    new_context: PCtxtHandle,
    input: PSecBufferDesc,
    output: PSecBufferDesc,
    attributes: *mut u32,
}

/// Dispatch, at PASSIVE_LEVEL. The caller's bytes are looked at and copied before anything is
/// written to their buffer or the request is pended.
pub fn dispatch(handle: &Shared<Handle>, request: Request, accept: &AcceptRequest<'_>) -> Done {
    let gate = handle.gate;
    match accept.target {
        Target::New { credential, alpn } => {
            let admission = leg::admit(accept.input, Place::First);
            let input = Input::copy_of(gate, accept.input);
            let protocols = application_protocols(alpn);
            begin(handle, request, credential, admission, input, protocols)
        }
        Target::Session(id) => {
            let session = match handle.session(id) {
                Ok(session) => session,
                Err(status) => return refuse(request, status),
            };
            let mut right = match Exclusive::acquire(&session) {
                Ok(right) => right,
                Err(refused) => return refuse(request, refused_status(refused)),
            };
            let has_context = is_valid(&right.parts().handle);
            let place = if has_context {
                Place::Later
            } else {
                Place::First
            };
            let admission = leg::admit(accept.input, place);
            let input = Input::copy_of(gate, accept.input);
            let later = Later {
                right,
                id,
                has_context,
                admission,
            };
            go_on(handle, request, later, input)
        }
    }
}

/// The first leg: makes a session only for a whole record.
fn begin(
    handle: &Shared<Handle>,
    request: Request,
    credential: CredentialId,
    admission: Admission,
    input: Result<Input, NtStatus>,
    protocols: Option<Box<[u8]>>,
) -> Done {
    let used = match handle
        .credential(credential)
        .and_then(|it| Credential::acquire_use(&it))
    {
        Ok(used) => used,
        Err(status) => return refuse(request, status),
    };
    match admission {
        Admission::Call => {}
        Admission::Wait(outcome) => {
            drop(used);
            return reply(request, |room| {
                write_reply(room, 0, state::NONE, &outcome, &[])
            });
        }
        Admission::Refuse(outcome, alert) => {
            drop(used);
            return reply(request, |room| refusal(room, 0, outcome, alert));
        }
    }
    let protocols = protocols.ok_or(NtStatus::STATUS_INSUFFICIENT_RESOURCES);
    let made = input.and_then(|input| Ok((input, make_session(handle, used, protocols?)?)));
    let (input, (session, id)) = match made {
        Ok(made) => made,
        Err(status) => return refuse(request, status),
    };
    let submitted = match Exclusive::acquire(&session) {
        Ok(right) => submit(handle, request, right, id, true, input),
        Err(refused) => Err((Some(request), refused_status(refused))),
    };
    match submitted {
        Ok(()) => Done::Pended,
        Err((request, status)) => {
            discard(handle, &session, id);
            request.map_or(Done::Completed, |request| refuse(request, status))
        }
    }
}

/// What a later leg has to go on with.
struct Later {
    right: Exclusive<Session>,
    id: SessionId,
    has_context: bool,
    admission: Admission,
}

fn go_on(
    handle: &Shared<Handle>,
    request: Request,
    later: Later,
    input: Result<Input, NtStatus>,
) -> Done {
    let Later {
        right,
        id,
        has_context,
        admission,
    } = later;
    let phase = right.holder().phase();
    let refused = match (phase, input) {
        (Phase::Failed, _) => NtStatus::STATUS_INVALID_DEVICE_STATE,
        (Phase::Established, Ok(input)) if input.copy.bytes().is_empty() => {
            NtStatus::STATUS_INVALID_PARAMETER
        }
        // A post-handshake message as UNSEAL left it need not look like a record.
        (Phase::Established, Ok(input)) => {
            return submit_later(handle, request, right, id, input);
        }
        (Phase::Handshaking, input) => match (admission, input) {
            (Admission::Wait(outcome), _) => {
                drop(right);
                return reply(request, |room| {
                    write_reply(room, id.get(), state::HANDSHAKING, &outcome, &[])
                });
            }
            (Admission::Refuse(outcome, alert), _) => {
                right.holder().fail();
                drop(right);
                return reply(request, |room| {
                    // Once there are keys, an unprotected alert would be noise.
                    if has_context {
                        write_reply(room, id.get(), state::FAILED, &outcome, &[])
                    } else {
                        refusal(room, id.get(), outcome, alert)
                    }
                });
            }
            (Admission::Call, Ok(input)) => {
                return submit_later(handle, request, right, id, input);
            }
            (Admission::Call, Err(status)) => status,
        },
        (Phase::Established, Err(status)) => status,
    };
    // First, so that the caller's next request finds the session free.
    drop(right);
    refuse(request, refused)
}

fn submit_later(
    handle: &Shared<Handle>,
    request: Request,
    right: Exclusive<Session>,
    id: SessionId,
    input: Input,
) -> Done {
    match submit(handle, request, right, id, false, input) {
        Ok(()) => Done::Pended,
        Err((None, _)) => Done::Completed,
        Err((Some(request), status)) => refuse(request, status),
    }
}

/// Pends the request and queues the leg: in this order, as nothing may be issued for a request
/// that is not marked cancelable.
fn submit(
    handle: &Shared<Handle>,
    request: Request,
    right: Exclusive<Session>,
    id: SessionId,
    made_session: bool,
    input: Input,
) -> Result<(), (Option<Request>, NtStatus)> {
    let gate = handle.gate;
    let session = right.holder().clone();
    let accept = Accept {
        right,
        id,
        made_session,
        leg: Leg::new(),
        input,
        working: None,
        output: None,
        input_buffers: InputBuffers::new(),
        output_buffers: OutputBuffers::new(),
        attributes: 0,
    };
    let mut operation = match Operation::new(gate, Work::Accept(accept)) {
        Ok(operation) => operation,
        Err(status) => return Err((Some(request), status)),
    };
    match Pending::pend(request, handle, Some(session)) {
        Ok(pending) => {
            operation.pending = Some(pending);
            gate.issuers.submit(operation);
            Ok(())
        }
        Err(refused) => {
            operation.end();
            Err(refused)
        }
    }
}

/// The next call of a leg. On an issuer's thread, at PASSIVE_LEVEL.
pub fn step(operation: Box<Operation>) {
    if operation.begin() == Begin::Abandoned {
        return lost(operation);
    }
    let gate = operation.gate();
    let mut operation = Lent::new(operation);
    let Work::Accept(accept) = operation.get().work() else {
        return operation.reclaim().end();
    };
    // Kept beside the operation, which may be gone before this function returns.
    let session = accept.right.holder().clone();
    let ready = gate.ready(&mut accept.right.parts().asynchronous);
    let Some((ready, arguments)) = ready.zip(accept.prepare(gate)) else {
        return finish(
            operation.reclaim(),
            SecurityStatus::SEC_E_INSUFFICIENT_MEMORY,
        );
    };
    // As its credential's owner: the kernel's Schannel wants the caller that acquired it.
    let Some(Ok(client)) = session.credential().client().map(Client::impersonate) else {
        return finish(operation.reclaim(), SecurityStatus::SEC_E_NO_CREDENTIALS);
    };
    // SAFETY: one call; the addresses lie in the operation and in the session that its right keeps.
    let issued = unsafe { ready.issue(operation, |context| call(context, &arguments)) };
    drop(client);
    if let Some((mut operation, status)) = operation::settle(gate, issued) {
        if let Work::Accept(accept) = operation.work() {
            gate.quarantine(accept.right.parts().asynchronous.take());
        }
        finish(operation, status);
    }
}

impl Accept {
    /// Fresh buffers for the next call, tied together. `None` when there is no memory.
    fn prepare(&mut self, gate: &Gate) -> Option<Arguments> {
        // A repeated call gives the old ones back first.
        (self.working, self.output) = (None, None);
        let range = self.leg.range(self.input.copy.bytes().len());
        let part = self.input.copy.bytes().get(range).unwrap_or_default();
        let working = self.working.insert(Buffer::copy_of(&gate.blocks, part)?);
        let output = self
            .output
            .insert(Buffer::zeroed(&gate.blocks, self.leg.capacity())?);
        let credential = self.right.holder().credential().handle();
        let parts = self.right.parts();
        let has_context = is_valid(&parts.handle);
        let protocols: &mut [u8] = if has_context {
            &mut []
        } else {
            &mut parts.protocols
        };
        let new_context = &raw mut parts.handle;
        Some(Arguments {
            credential,
            // No context yet: null, not an invalid handle (documentation of
            // `SspiAcceptSecurityContextAsync`).
            context: if has_context {
                new_context
            } else {
                ptr::null_mut()
            },
            new_context,
            // SAFETY: this value is in its operation's heap memory, its buffers in theirs, the
            // protocols in the session's; all stay until the callback.
            input: unsafe {
                InputBuffers::tie(&raw mut self.input_buffers, working.bytes_mut(), protocols)
            },
            // SAFETY: as above.
            output: unsafe { OutputBuffers::tie(&raw mut self.output_buffers, output.bytes_mut()) },
            attributes: &raw mut self.attributes,
        })
    }

    fn result(&self, status: SecurityStatus) -> CallResult {
        CallResult {
            status,
            produced: self.output_buffers.produced(),
            extra: self.input_buffers.extra(),
            missing: self.input_buffers.missing(),
            alert: self.output_buffers.alert(),
        }
    }
}

fn call(
    context: *mut wdk_sys::SspiAsyncContext,
    arguments: &Arguments,
) -> wdk_sys::SECURITY_STATUS {
    // SAFETY: the caller of `issue` vouches for the addresses. The expiry is left out: Schannel
    // wants none before the last call.
    unsafe {
        SspiAcceptSecurityContextAsync(
            context,
            arguments.credential,
            arguments.context,
            arguments.input,
            REQUIREMENTS,
            0,
            arguments.new_context,
            arguments.output,
            arguments.attributes,
            ptr::null_mut(),
        )
    }
}

/// A call has completed. In the callback, IRQL up to DISPATCH_LEVEL, or on the issuer's thread.
pub fn completed(mut operation: Box<Operation>, status: SecurityStatus) {
    let gate = operation.gate();
    let Work::Accept(accept) = operation.work() else {
        return operation.end();
    };
    let result = accept.result(status);
    match accept.leg.after(accept.input.copy.bytes(), &result) {
        Step::Again => gate.issuers.go_on(operation),
        Step::Reply(outcome) => deliver(operation, &outcome),
    }
}

/// No call was made, or it was refused. On an issuer's thread.
fn finish(operation: Box<Operation>, status: SecurityStatus) {
    operation.returned();
    deliver(operation, &Outcome::failed(status));
}

/// The request was given up while the leg waited. On an issuer's thread.
fn lost(operation: Box<Operation>) {
    deliver(
        operation,
        &Outcome::failed(SecurityStatus::SEC_E_INTERNAL_ERROR),
    );
}

/// The end of a leg: the session first, so that the caller's next request finds it free.
fn deliver(mut operation: Box<Operation>, outcome: &Outcome) {
    let (Work::Accept(accept), Some(pending)) = (operation.take(), operation.pending.take()) else {
        return operation.end();
    };
    let Accept {
        right,
        id,
        made_session,
        input,
        working,
        output,
        ..
    } = accept;
    let session = right.holder().clone();
    match outcome.becomes {
        Some(Phase::Established) => session.establish(),
        Some(Phase::Failed) => session.fail(),
        Some(Phase::Handshaking) | None => {}
    }
    let phase = session.phase();
    drop(right);
    let token = output
        .as_ref()
        .and_then(|output| output.bytes().get(..outcome.produced));
    let delivered = pending.complete(NtStatus::STATUS_SUCCESS, |room| {
        write_reply(
            room,
            id.get(),
            phase.wire(),
            outcome,
            token.unwrap_or_default(),
        )
    });
    if !delivered {
        session.fail();
        if made_session {
            discard(pending.handle(), &session, id);
        }
    }
    // Everything goes before the operation ends: the driver may be unloaded right after.
    drop((session, pending, input, working, output));
    operation.end();
}

fn make_session(
    handle: &Shared<Handle>,
    credential: CredentialUse,
    protocols: Box<[u8]>,
) -> Result<(Shared<Session>, SessionId), NtStatus> {
    let none = NtStatus::STATUS_INSUFFICIENT_RESOURCES;
    let gate = handle.gate;
    let asynchronous = gate.new_async_context().ok_or(none)?;
    let session = Session::new(gate, credential, asynchronous, protocols)?;
    match handle.add_session(session.clone()) {
        Ok(id) => Ok((session, id)),
        Err(status) => {
            sspi::close(&session);
            Err(status)
        }
    }
}

/// `SEC_APPLICATION_PROTOCOLS` with one ALPN list; empty for an empty list. `None` when there is no
/// memory.
fn application_protocols(alpn: &[u8]) -> Option<Box<[u8]>> {
    if alpn.is_empty() {
        return Some(Box::default());
    }
    let list = u16::try_from(alpn.len()).ok()?;
    // Extension and list length stand in front of the names.
    let all = u32::from(list).checked_add(6)?;
    try_concat(&[
        &all.to_le_bytes(),
        &schannel::ALPN_EXTENSION.to_le_bytes(),
        &list.to_le_bytes(),
        alpn,
    ])
}

fn refused_status(refused: Refused) -> NtStatus {
    match refused {
        Refused::Busy => NtStatus::STATUS_DEVICE_BUSY,
        Refused::Closing => NtStatus::STATUS_NOT_FOUND,
    }
}

/// A session whose id nobody knows goes at once. Whoever takes it out of the table closes it.
fn discard(handle: &Shared<Handle>, session: &Shared<Session>, id: SessionId) {
    session.fail();
    if handle.remove_session(id).is_some() {
        sspi::close(session);
    }
}

fn refusal(room: &mut [u8], session: u64, outcome: Outcome, alert: Alert) -> usize {
    let record = alert.record();
    let outcome = Outcome {
        produced: record.len(),
        ..outcome
    };
    write_reply(room, session, state::FAILED, &outcome, &record)
}

fn write_reply(room: &mut [u8], session: u64, state: u8, outcome: &Outcome, token: &[u8]) -> usize {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let alert = outcome.alert.unwrap_or(Alert {
        level: 0,
        description: 0,
    });
    let head = LegReply {
        head: ReplyHead::new(outcome.status),
        session,
        consumed: number(outcome.consumed),
        produced: number(token.len()),
        missing: number(outcome.missing),
        state,
        alert_level: alert.level,
        alert_description: alert.description,
        reserved: 0,
    };
    let written = write(room, head.as_bytes());
    let rest = room.get_mut(written..).unwrap_or_default();
    written.saturating_add(write(rest, token))
}
