//! A security context: who uses it, and what its legs come to in buffers of the caller's size.

use crate::{
    credential::CredentialUse,
    rules::{
        Broken, CONTEXT_DELETED_IN_USE, CONTEXT_USED_CONCURRENTLY, Checked, INPUT_NOT_REPEATED,
        broken,
    },
    tls::{engine::Engine, outcome::Outcome, session::Session},
};
use std::sync::{Arc, Mutex, PoisonError};
use windows_sys::Win32::Foundation::SEC_E_BUFFER_TOO_SMALL;

/// A security context.
pub struct SecurityContext {
    /// Its number.
    pub id: usize,
    /// It was made by an accept, not by an initialize.
    pub accepts: bool,
    /// Keeps the credential from being freed before this context.
    _credential: CredentialUse,
    uses: Mutex<Uses>,
    tls: Mutex<Tls>,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each use is open or not by itself"
)]
#[derive(Debug, Default)]
struct Uses {
    leg: bool,
    seal: bool,
    unseal: bool,
    queries: usize,
    deletion: bool,
}

struct Tls {
    engine: Engine,
    /// What a leg came to that did not fit into the caller's buffer, with the input it consumed.
    unfitted: Option<(Vec<u8>, Outcome)>,
}

/// What a context can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// An accept or initialize call: exclusive.
    Leg,
    /// `SealMessage`: not two at once, not during a leg.
    Seal,
    /// `UnsealMessage`: likewise.
    Unseal,
    /// A query: not during a leg.
    Query,
    /// Deletion: exclusive, and the last.
    Deletion,
}

/// A use of a context; it ends when dropped.
pub struct Used {
    /// The context.
    pub context: Arc<SecurityContext>,
    by: Use,
}

impl SecurityContext {
    /// A context for `engine`.
    pub fn new(id: usize, accepts: bool, credential: CredentialUse, engine: Engine) -> Self {
        Self {
            id,
            accepts,
            _credential: credential,
            uses: Mutex::default(),
            tls: Mutex::new(Tls {
                engine,
                unfitted: None,
            }),
        }
    }

    /// Begins a use.
    pub fn begin(self: Arc<Self>, by: Use) -> Checked<Used> {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let records = uses.seal || uses.unseal;
        let free = !uses.deletion
            && !uses.leg
            && match by {
                Use::Leg | Use::Deletion => !records && uses.queries == 0,
                Use::Seal => !uses.seal,
                Use::Unseal => !uses.unseal,
                Use::Query => true,
            };
        if !free {
            let rule = if by == Use::Deletion || uses.deletion {
                CONTEXT_DELETED_IN_USE
            } else {
                CONTEXT_USED_CONCURRENTLY
            };
            return broken(rule, format!("{by:?} while in use: {uses:?}"));
        }
        match by {
            Use::Leg => uses.leg = true,
            Use::Seal => uses.seal = true,
            Use::Unseal => uses.unseal = true,
            Use::Query => uses.queries += 1,
            Use::Deletion => uses.deletion = true,
        }
        drop(uses);
        Ok(Used { context: self, by })
    }

    /// One leg with room for `room` bytes of token. Without enough room nothing advances: the
    /// caller repeats the call with the same input (microsoft/msquic, `tls_schannel.c`).
    pub fn leg(&self, input: &[u8], room: usize) -> Checked<Outcome> {
        let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match tls.unfitted.take() {
            Some((consumed, outcome)) if input.starts_with(&consumed) => outcome,
            Some(_) => return Err(not_repeated("SEC_E_BUFFER_TOO_SMALL")),
            None => tls
                .engine
                .leg(input)
                .map_err(|_| not_repeated("SEC_E_INCOMPLETE_MESSAGE or SEC_I_RENEGOTIATE"))?,
        };
        if outcome.token.len() <= room {
            return Ok(outcome);
        }
        tls.unfitted = Some((input[..outcome.consumed].to_vec(), outcome));
        Ok(Outcome::refused(SEC_E_BUFFER_TOO_SMALL))
    }

    /// Does something with the session of a context whose handshake is done.
    pub fn with_session<T>(&self, act: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        tls.engine.session().map(act)
    }
}

fn not_repeated(after: &str) -> Broken {
    Broken {
        rule: INPUT_NOT_REPEATED,
        detail: format!("other bytes after {after}"),
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        let mut uses = self
            .context
            .uses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match self.by {
            Use::Leg => uses.leg = false,
            Use::Seal => uses.seal = false,
            Use::Unseal => uses.unseal = false,
            Use::Query => uses.queries -= 1,
            Use::Deletion => uses.deletion = false,
        }
    }
}
