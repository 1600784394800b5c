//! ACCEPT: one server leg.

use crate::{
    buffer::Buffer,
    credential::Credential,
    dispatch::{Outcome as Done, refuse, reply, write},
    handle::Handle,
    kmdf::request::Request,
    memory::{Shared, try_concat},
    nt::token::Client,
    operation::{self, Operation, Work},
    pending::Pending,
    session::Session,
    sspi::{self, Exclusive, InputBuffers, OutputBuffers, is_valid, schannel},
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
    /// The caller's bytes as they came: a repeated call needs them unspoilt.
    input: Buffer,
    /// The copy that Schannel works on.
    working: Option<Buffer>,
    output: Option<Buffer>,
    input_buffers: InputBuffers,
    output_buffers: OutputBuffers,
    attributes: u32,
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

/// Dispatch, at PASSIVE_LEVEL.
pub fn dispatch(handle: &Shared<Handle>, request: Request, accept: &AcceptRequest<'_>) -> Done {
    match accept.target {
        Target::New { credential, alpn } => begin(handle, request, credential, alpn, accept.input),
        Target::Session(id) => match handle.session(id) {
            Ok(session) => go_on(handle, request, &session, id, accept.input),
            Err(status) => refuse(request, status),
        },
    }
}

/// The first leg: looks at the bytes before it makes a session.
fn begin(
    handle: &Shared<Handle>,
    request: Request,
    credential: CredentialId,
    alpn: &[u8],
    input: &[u8],
) -> Done {
    let used = match handle
        .credential(credential)
        .and_then(|it| Credential::acquire_use(&it))
    {
        Ok(used) => used,
        Err(status) => return refuse(request, status),
    };
    match leg::admit(input, Place::First) {
        Admission::Call => {}
        Admission::Wait(outcome) => {
            return reply(request, |room| {
                write_reply(room, 0, state::NONE, &outcome, &[])
            });
        }
        Admission::Refuse(outcome, alert) => {
            return reply(request, |room| refusal(room, 0, outcome, alert));
        }
    }
    let made = make_session(handle, used, alpn);
    let (session, id) = match made {
        Ok(made) => made,
        Err(status) => return refuse(request, status),
    };
    let right = match Exclusive::acquire(&session) {
        Ok(right) => right,
        Err(refused) => return abort(handle, request, &session, id, refused_status(refused)),
    };
    match submit(handle, request, right, id, true, input) {
        Ok(()) => Done::Pended,
        Err((None, _)) => {
            discard(handle, &session, id);
            Done::Completed
        }
        Err((Some(request), status)) => abort(handle, request, &session, id, status),
    }
}

/// A later leg.
fn go_on(
    handle: &Shared<Handle>,
    request: Request,
    session: &Shared<Session>,
    id: SessionId,
    input: &[u8],
) -> Done {
    let mut right = match Exclusive::acquire(session) {
        Ok(right) => right,
        Err(refused) => return refuse(request, refused_status(refused)),
    };
    let has_context = is_valid(&right.parts().handle);
    match session.phase() {
        Phase::Failed => return refuse(request, NtStatus::STATUS_INVALID_DEVICE_STATE),
        // A post-handshake message as UNSEAL left it need not look like a record.
        Phase::Established if !input.is_empty() => {}
        Phase::Established => return refuse(request, NtStatus::STATUS_INVALID_PARAMETER),
        Phase::Handshaking => {
            let place = if has_context {
                Place::Later
            } else {
                Place::First
            };
            match leg::admit(input, place) {
                Admission::Call => {}
                Admission::Wait(outcome) => {
                    drop(right);
                    return reply(request, |room| {
                        write_reply(room, id.get(), state::HANDSHAKING, &outcome, &[])
                    });
                }
                Admission::Refuse(outcome, alert) => {
                    session.fail();
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
            }
        }
    }
    match submit(handle, request, right, id, false, input) {
        Ok(()) => Done::Pended,
        Err((None, _)) => Done::Completed,
        Err((Some(request), status)) => refuse(request, status),
    }
}

/// Copies what the call needs, pends the request, and queues the leg: in this order, as a pended
/// request's bytes may be gone at any time.
fn submit(
    handle: &Shared<Handle>,
    request: Request,
    right: Exclusive<Session>,
    id: SessionId,
    made_session: bool,
    input: &[u8],
) -> Result<(), (Option<Request>, NtStatus)> {
    let gate = handle.gate;
    let session = right.holder().clone();
    let Some(input) = Buffer::copy_of(&gate.blocks, input) else {
        return Err((Some(request), NtStatus::STATUS_INSUFFICIENT_RESOURCES));
    };
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
    let Some(mut operation) = Operation::new(gate, Work::Accept(accept)) else {
        return Err((Some(request), NtStatus::STATUS_INSUFFICIENT_RESOURCES));
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
pub fn step(mut operation: Box<Operation>) {
    if operation.begin() == Begin::Abandoned {
        return lost(operation);
    }
    let gate = operation.gate();
    let Work::Accept(accept) = operation.work() else {
        return operation.end();
    };
    // Kept beside the operation, which may be gone before the call returns.
    let session = accept.right.holder().clone();
    let prepared = accept.prepare(gate).and_then(|arguments| {
        let ready = gate.ready(&mut accept.right.parts().asynchronous)?;
        Some((arguments, ready))
    });
    let Some((arguments, ready)) = prepared else {
        return finish(operation, SecurityStatus::SEC_E_INSUFFICIENT_MEMORY);
    };
    // As its credential's owner: the kernel's Schannel wants the caller that acquired it.
    let Some(Ok(client)) = session.credential().client().map(Client::impersonate) else {
        return finish(operation, SecurityStatus::SEC_E_NO_CREDENTIALS);
    };
    // SAFETY: one call; the addresses lie in the operation and in the session that its right keeps.
    let issued = unsafe { ready.issue(operation, |context| call(context, &arguments)) };
    drop(client);
    if let Some((mut operation, status)) = operation::issued(gate, issued) {
        if let Work::Accept(accept) = operation.work() {
            gate.quarantine(accept.right.parts().asynchronous.take());
        }
        finish(operation, status);
    }
}

impl Accept {
    /// Fresh buffers for the next call, tied together. `None` when there is no memory.
    fn prepare(&mut self, gate: &crate::gate::Gate) -> Option<Arguments> {
        let range = self.leg.range(self.input.bytes().len());
        let part = self.input.bytes().get(range).unwrap_or_default();
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

/// A call has completed. In the callback, IRQL up to DISPATCH_LEVEL.
pub fn completed(mut operation: Box<Operation>, status: SecurityStatus) {
    let gate = operation.gate();
    let Work::Accept(accept) = operation.work() else {
        return operation.end();
    };
    let result = accept.result(status);
    match accept.leg.after(accept.input.bytes(), &result) {
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
    drop((session, pending, output));
    operation.end();
}

fn make_session(
    handle: &Shared<Handle>,
    credential: crate::credential::CredentialUse,
    alpn: &[u8],
) -> Result<(Shared<Session>, SessionId), NtStatus> {
    let none = NtStatus::STATUS_INSUFFICIENT_RESOURCES;
    let gate = handle.gate;
    let protocols = application_protocols(alpn).ok_or(none)?;
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

/// A session whose id nobody knows goes at once.
fn discard(handle: &Shared<Handle>, session: &Shared<Session>, id: SessionId) {
    session.fail();
    handle.remove_session(id);
    sspi::close(session);
}

fn abort(
    handle: &Shared<Handle>,
    request: Request,
    session: &Shared<Session>,
    id: SessionId,
    status: NtStatus,
) -> Done {
    discard(handle, session, id);
    refuse(request, status)
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
