//! ACCEPT and CONNECT: from the request to a leg.

use crate::{
    credential::{Credential, CredentialUse},
    dispatch::{Outcome as Done, refuse, reply},
    handle::Handle,
    kmdf::request::Request,
    leg::{Input, discard, fail, refusal, submit, write_reply},
    session::{self, Session},
    shared::Shared,
    sspi::{self, Exclusive, FirstCall, is_valid},
};
use tlsgate_core::{
    leg::{Admission, admit},
    record::Place,
    session::Phase,
    usage::Refused,
};
use tlsgate_protocol::{
    CredentialId, Leg as LegRequest, New, NtStatus, Role, SessionId, Target,
    payload::{credential as flag, state},
};

/// Dispatch, at PASSIVE_LEVEL. The caller's bytes are looked at and copied before anything is
/// written to their buffer or the request is pended.
pub fn dispatch(
    handle: &Shared<Handle>,
    request: Request,
    role: Role,
    leg: &LegRequest<'_>,
) -> Done {
    match &leg.target {
        Target::New(new) => {
            let beginning = Beginning::of(handle, role, leg, new);
            begin(handle, request, beginning)
        }
        Target::Session(id) => {
            let found = handle.session(*id).and_then(|session| {
                if session.role() == role {
                    Ok(session)
                } else {
                    Err(NtStatus::STATUS_INVALID_PARAMETER)
                }
            });
            let session = match found {
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
            let admission = admit(leg.input, place);
            let input = Input::copy_of(handle, leg.input);
            let later = Later {
                right,
                id: *id,
                has_context,
                admission,
            };
            go_on(handle, request, later, input)
        }
    }
}

/// What a new session begins with: copies of the caller's words.
struct Beginning {
    role: Role,
    credential: CredentialId,
    time_out: u64,
    has_name: bool,
    admission: Admission,
    input: Result<Input, NtStatus>,
    first: Option<FirstCall>,
}

impl Beginning {
    fn of(handle: &Shared<Handle>, role: Role, leg: &LegRequest<'_>, new: &New<'_>) -> Self {
        Self {
            role,
            credential: new.credential,
            time_out: handle.gate.time_out(new.timeout_ms),
            has_name: !new.server_name.is_empty(),
            admission: match role {
                Role::Server => admit(leg.input, Place::First),
                // The client speaks first.
                Role::Client => Admission::Call,
            },
            input: Input::copy_of(handle, leg.input),
            first: FirstCall::new(&handle.gate.lists.small_blocks, new.alpn, new.server_name),
        }
    }
}

/// The first leg: makes a session only for a whole record, or a client.
fn begin(handle: &Shared<Handle>, request: Request, beginning: Beginning) -> Done {
    let used = handle
        .may_begin()
        .and_then(|()| use_credential(handle, &beginning));
    let used = match used {
        Ok(used) => used,
        Err(status) => return refuse(request, status),
    };
    match beginning.admission {
        Admission::Call => {}
        Admission::Wait(outcome) => {
            drop(used);
            return reply(request, |room| {
                write_reply(room, 0, state::NONE, &outcome, &[])
            });
        }
        Admission::Refuse(outcome, alert) => {
            drop(used);
            handle.handshake_failed();
            return reply(request, |room| refusal(room, 0, outcome, alert));
        }
    }
    let first = beginning
        .first
        .ok_or(NtStatus::STATUS_INSUFFICIENT_RESOURCES);
    let made = beginning.input.and_then(|input| {
        let first = first?;
        Ok((
            input,
            make_session(handle, used, first, beginning.time_out)?,
        ))
    });
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

/// The credential of a new session: of the right side, and a client names its server unless its
/// caller checks the certificate itself.
fn use_credential(
    handle: &Shared<Handle>,
    beginning: &Beginning,
) -> Result<CredentialUse, NtStatus> {
    let mut tries = 0..LOOKS;
    loop {
        let credential = handle.credential(beginning.credential)?;
        let profile = credential.profile;
        let must_name = beginning.role == Role::Client && profile.flags & flag::MANUAL_CHECK == 0;
        if profile.role != beginning.role || (must_name && !beginning.has_name) {
            return Err(NtStatus::STATUS_INVALID_PARAMETER);
        }
        match Credential::acquire_use(&credential) {
            // It may have been replaced since it was looked up: its id names another one then.
            Err(_) if tries.next().is_some() => {}
            result => return result,
        }
    }
}

/// How often a credential that is being replaced is looked up again.
const LOOKS: u8 = 4;

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
                fail(handle, right.holder(), outcome.status);
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
    first: FirstCall,
    time_out: u64,
) -> Result<(Shared<Session>, SessionId), NtStatus> {
    let beginning = session::Beginning {
        credential,
        asynchronous: handle.gate.first_async_context(&handle.quarantine)?,
        first,
        time_out,
    };
    let session = Session::new(handle, beginning)?;
    match handle.add_session(session.clone()) {
        Ok(id) => Ok((session, id)),
        Err(status) => {
            sspi::close(&session);
            Err(status)
        }
    }
}

fn refused_status(refused: Refused) -> NtStatus {
    match refused {
        Refused::Busy => NtStatus::STATUS_DEVICE_BUSY,
        Refused::Closing => NtStatus::STATUS_NOT_FOUND,
    }
}
