//! ACCEPT: from the request to a server leg.

use crate::{
    credential::{Credential, CredentialUse},
    dispatch::{Outcome as Done, refuse, reply},
    handle::Handle,
    kmdf::request::Request,
    leg::{Input, discard, refusal, submit, write_reply},
    memory::{Shared, try_concat},
    session::Session,
    sspi::{self, Exclusive, is_valid, schannel},
};
use alloc::boxed::Box;
use tlsgate_core::{
    leg::{Admission, admit},
    record::Place,
    session::Phase,
    usage::Refused,
};
use tlsgate_protocol::{
    Accept as AcceptRequest, CredentialId, NtStatus, SessionId, Target, payload::state,
};

/// Dispatch, at PASSIVE_LEVEL. The caller's bytes are looked at and copied before anything is
/// written to their buffer or the request is pended.
pub fn dispatch(handle: &Shared<Handle>, request: Request, accept: &AcceptRequest<'_>) -> Done {
    let gate = handle.gate;
    match accept.target {
        Target::New { credential, alpn } => {
            let admission = admit(accept.input, Place::First);
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
            let admission = admit(accept.input, place);
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
