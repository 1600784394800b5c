//! CLOSE_SESSION.

use crate::{
    dispatch::{Outcome as Done, refuse},
    handle::Handle,
    kmdf::request::Request,
    pending::Pending,
    shared::Shared,
    sspi,
};
use tlsgate_protocol::{NtStatus, SessionId};

/// Dispatch, at PASSIVE_LEVEL. The id is void at once; the request pends until the context is
/// deleted, which waits for every use that is open.
pub fn dispatch(handle: &Shared<Handle>, request: Request, id: SessionId) -> Done {
    if let Err(status) = handle.session(id) {
        return refuse(request, status);
    }
    let pending = match Pending::pend_closing(request, handle) {
        Ok(pending) => pending,
        Err((Some(request), status)) => return refuse(request, status),
        Err((None, _)) => return Done::Completed,
    };
    let Some(session) = handle.remove_session(id) else {
        // Another CLOSE_SESSION was faster.
        pending.complete(NtStatus::STATUS_NOT_FOUND, |_| 0);
        return Done::Pended;
    };
    if session.end_handshake() {
        handle.handshake_failed();
    }
    session.set_closer(pending);
    sspi::close(&session);
    Done::Pended
}
