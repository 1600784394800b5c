//! RELEASE_CREDENTIAL.

use crate::{
    credential::{self, Credential},
    dispatch::{Outcome as Done, refuse, write},
    handle::Handle,
    kmdf::request::Request,
    pending::Pending,
    shared::Shared,
};
use tlsgate_core::{closing::Closing, rundown::Closed};
use tlsgate_protocol::{
    CredentialId, NtStatus, SecurityStatus,
    payload::{ReleaseReply, ReplyHead},
};
use zerocopy::IntoBytes;

/// Dispatch, at PASSIVE_LEVEL. The id is void at once; the request pends until the credential is
/// freed, or completes at once as deferred when sessions still use it.
pub fn dispatch(handle: &Shared<Handle>, request: Request, id: CredentialId) -> Done {
    match handle.credential(id) {
        Ok(credential) if credential.is_ready() => {}
        _ => return refuse(request, NtStatus::STATUS_NOT_FOUND),
    }
    let pending = match Pending::pend_closing(request, handle) {
        Ok(pending) => pending,
        Err((Some(request), status)) => return refuse(request, status),
        Err((None, _)) => return Done::Completed,
    };
    let Some(credential) = handle.remove_credential(id) else {
        // Another RELEASE_CREDENTIAL was faster.
        pending.complete(NtStatus::STATUS_NOT_FOUND, |_| 0);
        return Done::Pended;
    };
    // The request comes back when sessions still use it.
    if let Some(pending) = Releasing(&credential).close_for(pending) {
        let reply = ReleaseReply {
            head: ReplyHead::new(SecurityStatus::SEC_E_OK),
            deferred: 1,
            reserved: 0,
        };
        pending.complete(NtStatus::STATUS_SUCCESS, |room| {
            write(room, reply.as_bytes())
        });
    }
    Done::Pended
}

/// A credential that is released: the policy is in `tlsgate_core::closing`.
struct Releasing<'a>(&'a Shared<Credential>);

impl Closing for Releasing<'_> {
    type Request = Shared<Pending>;

    fn put_closer(&self, request: Shared<Pending>) {
        self.0.set_closer(request);
    }

    fn take_closer(&self) -> Option<Shared<Pending>> {
        self.0.take_closer()
    }

    fn close(&self) -> Closed {
        credential::close(self.0)
    }
}
