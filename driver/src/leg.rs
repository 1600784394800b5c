//! A leg on its way: its memory, its calls on the issuers' threads, and its end.

use crate::{
    buffer::Buffer,
    dispatch::write,
    gate::Gate,
    handle::Handle,
    input::Input,
    kmdf::request::Request,
    nt::token::Client,
    operation::{self, Operation, Work},
    pending::Pending,
    session::Session,
    shared::Shared,
    sspi::{
        self, Exclusive, HandshakeArguments as Arguments, InputBuffers, Lent, OutputBuffers,
        TargetName, is_valid,
    },
    stock::Stored,
};
use core::ptr;
use tlsgate_core::{
    leg::{CallResult, Leg, Outcome, Step},
    record::Alert,
    session::Phase,
    ticket::Begin,
};
use tlsgate_protocol::{
    NtStatus, Role, SecurityStatus, SessionId,
    payload::{LegReply, ReplyHead, credential as flag, state},
};
use zerocopy::IntoBytes;

/// A leg on its way. Everything a call refers to lies in here, which stays where it is, or in the session.
pub struct HandshakeLeg {
    right: Exclusive<Session>,
    id: SessionId,
    /// The leg made its session: without a reply nobody knows its id.
    made_session: bool,
    progress: Leg,
    input: Input,
    output: Option<Buffer>,
    input_buffers: InputBuffers,
    output_buffers: OutputBuffers,
    target: TargetName,
    attributes: u32,
}

/// Pends the request and queues the leg: in this order, as nothing may be issued for a request
/// that is not marked cancelable.
///
/// # Errors
///
/// The request, if it is still the caller's to complete, and with what.
pub fn submit(
    handle: &Shared<Handle>,
    request: Request,
    right: Exclusive<Session>,
    id: SessionId,
    made_session: bool,
    input: Input,
) -> Result<(), (Option<Request>, NtStatus)> {
    let gate = handle.gate;
    let session = right.holder().clone();
    let due = match handle.may_issue().and_then(|()| session.due(handle)) {
        Ok(due) => due,
        Err(status) => return Err((Some(request), status)),
    };
    let leg = HandshakeLeg {
        right,
        id,
        made_session,
        progress: Leg::new(),
        input,
        output: None,
        input_buffers: InputBuffers::new(),
        output_buffers: OutputBuffers::new(),
        target: TargetName::none(),
        attributes: 0,
    };
    let Ok(leg) = gate.lists.legs.store(leg) else {
        return Err((Some(request), NtStatus::STATUS_INSUFFICIENT_RESOURCES));
    };
    let mut operation = match Operation::new(gate, handle.lane, Work::Leg(leg)) {
        Ok(operation) => operation,
        Err(status) => return Err((Some(request), status)),
    };
    match Pending::pend(request, handle, Some(session), due) {
        Ok(pending) => {
            operation.pending = Some(pending);
            gate.issuers.submit(operation);
            Ok(())
        }
        Err(refused) => {
            Operation::end(operation);
            Err(refused)
        }
    }
}

/// The next call of a leg. On an issuer's thread, at PASSIVE_LEVEL.
pub fn step(operation: Stored<Operation>) {
    if operation.begin() == Begin::Abandoned {
        return lost(operation);
    }
    let gate = operation.gate();
    let mut operation = Lent::new(operation);
    let Work::Leg(leg) = operation.get().work() else {
        return Operation::end(operation.reclaim());
    };
    // Kept beside the operation, which may be gone before this function returns.
    let session = leg.right.holder().clone();
    let prepared = gate
        .ready(&mut leg.right.parts().asynchronous, &session.quarantine)
        .ok_or(SecurityStatus::SEC_E_INSUFFICIENT_MEMORY)
        .and_then(|ready| Ok((ready, leg.prepare(gate)?)));
    let (ready, arguments) = match prepared {
        Ok(prepared) => prepared,
        Err(status) => return finish(operation.reclaim(), status),
    };
    // As its credential's owner: the kernel's Schannel wants the caller that acquired it.
    let Some(Ok(client)) = session.credential().client().map(Client::impersonate) else {
        return finish(operation.reclaim(), SecurityStatus::SEC_E_NO_CREDENTIALS);
    };
    // SAFETY: one call; the addresses lie in the operation and in the session that its right keeps.
    let call = |context| unsafe { arguments.call(context) };
    // SAFETY: as above.
    let refused = unsafe { operation::issue(gate, ready, operation, Some(client), call) };
    if let Some((mut operation, status)) = refused {
        if let Work::Leg(leg) = operation.work() {
            let context = leg.right.parts().asynchronous.take();
            gate.quarantine(context, &session.quarantine);
        }
        finish(operation, status);
    }
}

impl HandshakeLeg {
    /// Fresh buffers for the next call, tied together.
    ///
    /// # Errors
    ///
    /// There is no memory, or no name where the credential wants the server's checked: without one Schannel
    /// would check none.
    fn prepare(&mut self, gate: &Gate) -> Result<Arguments, SecurityStatus> {
        const NO_MEMORY: SecurityStatus = SecurityStatus::SEC_E_INSUFFICIENT_MEMORY;
        // A repeated call gives the old one back first.
        self.output = None;
        let range = self.progress.range(self.input.bytes().len());
        let blocks = &gate.lists.blocks;
        let working = self.input.working(blocks, range).ok_or(NO_MEMORY)?;
        let output = Buffer::zeroed(blocks, self.progress.capacity()).ok_or(NO_MEMORY)?;
        let output = self.output.insert(output);
        let role = self.right.holder().role();
        let credential = self.right.holder().credential();
        let (credential, flags) = (credential.handle(), credential.profile().flags);
        let parts = self.right.parts();
        let has_context = is_valid(&parts.handle);
        let is_first = role == Role::Client && !has_context;
        let (protocols, target) = parts.first.parts();
        self.target = target;
        if is_first && flags & flag::MANUAL_CHECK == 0 && self.target.is_none() {
            return Err(SecurityStatus::SEC_E_WRONG_PRINCIPAL);
        }
        let protocols: &mut [u8] = if has_context { &mut [] } else { protocols };
        let input = &raw mut self.input_buffers;
        let input = if is_first {
            // SAFETY: this value is in memory of a list, the protocols in the session's; all stay until the
            // callback.
            unsafe { InputBuffers::tie_first(input, protocols) }
        } else {
            // SAFETY: as above; the buffers are in memory of their own.
            unsafe { InputBuffers::tie(input, working, protocols) }
        };
        let new_context = &raw mut parts.handle;
        Ok(Arguments {
            role,
            requirements: sspi::requirements(role, flags),
            credential,
            // No context yet: null, not an invalid handle (documentation of
            // `SspiAcceptSecurityContextAsync`).
            context: if has_context {
                new_context
            } else {
                ptr::null_mut()
            },
            // Only before there is a context, as msquic does.
            target: if is_first {
                self.target.address()
            } else {
                ptr::null_mut()
            },
            new_context,
            input,
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

/// A call has completed. In the callback, IRQL up to DISPATCH_LEVEL, or on the issuer's thread.
pub fn completed(mut operation: Stored<Operation>, status: SecurityStatus) {
    let gate = operation.gate();
    let Work::Leg(leg) = operation.work() else {
        return Operation::end(operation);
    };
    let leg: &mut HandshakeLeg = leg;
    let result = leg.result(status);
    match leg.progress.after(leg.input.bytes(), &result) {
        Step::Again => gate.issuers.go_on(operation),
        Step::Reply(outcome) => deliver(operation, &outcome),
    }
}

/// No call was made, or it was refused. On an issuer's thread.
fn finish(operation: Stored<Operation>, status: SecurityStatus) {
    operation.returned();
    deliver(operation, &Outcome::failed(status));
}

/// The request was given up while the leg waited. On an issuer's thread.
fn lost(operation: Stored<Operation>) {
    deliver(
        operation,
        &Outcome::failed(SecurityStatus::SEC_E_INTERNAL_ERROR),
    );
}

/// The end of a leg: the session first, so that the caller's next request finds it free.
fn deliver(mut operation: Stored<Operation>, outcome: &Outcome) {
    let (Work::Leg(leg), Some(pending)) = (operation.take(), operation.pending.take()) else {
        return Operation::end(operation);
    };
    let HandshakeLeg {
        mut right,
        id,
        made_session,
        input,
        output,
        ..
    } = leg.into_inner();
    let session = right.holder().clone();
    match outcome.becomes {
        Some(Phase::Established) => session.establish(),
        Some(Phase::Failed) => fail(pending.handle(), &session, outcome.status),
        Some(Phase::Handshaking) | None => {}
    }
    let phase = session.phase();
    let parts = right.parts();
    if is_valid(&parts.handle) || phase == Phase::Failed {
        parts.first.forget();
    }
    session.forget_sizes();
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
        let handle = pending.handle();
        fail(handle, &session, SecurityStatus::SEC_E_INTERNAL_ERROR);
        if made_session {
            discard(pending.handle(), &session, id);
        }
    }
    // Everything goes before the operation ends: the driver may be unloaded right after.
    drop((session, pending, input, output));
    Operation::end(operation);
}

/// A session is of no more use; a handshake that fails is charged to its handle.
pub fn fail(handle: &Handle, session: &Session, status: SecurityStatus) {
    if session.fail(status) {
        handle.handshake_failed();
    }
}

/// A session whose id nobody knows goes at once. Whoever takes it out of the table closes it.
pub fn discard(handle: &Shared<Handle>, session: &Shared<Session>, id: SessionId) {
    fail(handle, session, SecurityStatus::SEC_E_INTERNAL_ERROR);
    if handle.remove_session(id).is_some() {
        sspi::close(session);
    }
}

/// A reply that refuses bytes which are not TLS, with an unprotected alert. Gives its length.
pub fn refusal(room: &mut [u8], session: u64, outcome: Outcome, alert: Alert) -> usize {
    let record = alert.record();
    let outcome = Outcome {
        produced: record.len(),
        ..outcome
    };
    write_reply(room, session, state::FAILED, &outcome, &record)
}

/// Writes a leg's reply and gives its length.
pub fn write_reply(
    room: &mut [u8],
    session: u64,
    state: u8,
    outcome: &Outcome,
    token: &[u8],
) -> usize {
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
