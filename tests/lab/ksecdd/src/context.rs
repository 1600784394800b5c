//! A security context: who uses it, and what its legs come to in buffers of the caller's size and
//! under the switches.

use crate::{
    credential::CredentialUse,
    rules::{
        Broken, CONTEXT_DELETED_IN_USE, CONTEXT_USED_CONCURRENTLY, Checked, INPUT_NOT_REPEATED,
        broken,
    },
    tls::{engine::Engine, judge::Judge, outcome::Outcome, session::Session},
};
use rustls::pki_types::{CertificateDer, ServerName};
use std::sync::{Arc, Mutex, PoisonError};
use tlsgate_lab_control::ksecdd::{Extra, PostHandshake, Switches};
use windows_sys::Win32::Foundation::{SEC_E_BUFFER_TOO_SMALL, SEC_E_OK, SEC_I_CONTINUE_NEEDED};

/// A security context.
pub struct SecurityContext {
    /// Its number.
    pub id: usize,
    /// It was made by an accept, not by an initialize.
    pub accepts: bool,
    /// Keeps the credential from being freed before this context.
    _credential: CredentialUse,
    judge: Arc<Judge>,
    /// Whom a client wants to talk to.
    target: Option<ServerName<'static>>,
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
    /// What a leg came to that the caller has not been told yet.
    untold: Option<Untold>,
}

/// What a leg came to that did not fit into the caller's buffer, or is to come late.
struct Untold {
    /// The input that the next leg must begin with.
    input: Vec<u8>,
    outcome: Outcome,
    /// It was called EXTRA, and may have been to the driver's caller and back.
    is_extra: bool,
}

/// What a context is made of.
pub struct Making {
    /// It is made by an accept, not by an initialize.
    pub accepts: bool,
    /// The credential.
    pub credential: CredentialUse,
    /// Its end of the connection.
    pub engine: Engine,
    /// What it thinks of the peer's certificates.
    pub judge: Arc<Judge>,
    /// Whom a client wants to talk to.
    pub target: Option<ServerName<'static>>,
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
    /// A context.
    pub fn new(id: usize, making: Making) -> Self {
        let Making {
            accepts,
            credential,
            engine,
            judge,
            target,
        } = making;
        Self {
            id,
            accepts,
            _credential: credential,
            judge,
            target,
            uses: Mutex::default(),
            tls: Mutex::new(Tls {
                engine,
                untold: None,
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
    pub fn leg(&self, input: &[u8], room: usize, switches: &Switches) -> Checked<Outcome> {
        if room < switches.least_room {
            return Ok(Outcome::refused(SEC_E_BUFFER_TOO_SMALL));
        }
        self.judge.learn(switches.revocation.clone());
        let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        let (outcome, late) = match tls.untold.take() {
            Some(untold) if input.starts_with(&untold.input) => (untold.outcome, false),
            Some(untold) if untold.is_extra => (tls.engine.give_up(), false),
            Some(_) => return Err(not_repeated()),
            None => tls.advance(input, switches),
        };
        if late {
            // The rest is not the outcome's yet: it is EXTRA now, and all of it again then.
            let rest = &input[outcome.consumed..];
            let first = Outcome {
                consumed: outcome.consumed,
                ..Outcome::refused(SEC_I_CONTINUE_NEEDED)
            };
            tls.untold = Some(Untold {
                input: rest.to_vec(),
                outcome: Outcome {
                    consumed: 0,
                    ..outcome
                },
                is_extra: true,
            });
            return Ok(first);
        }
        if outcome.token.len() <= room {
            return Ok(outcome);
        }
        tls.untold = Some(Untold {
            input: input[..outcome.consumed].to_vec(),
            outcome,
            is_extra: false,
        });
        Ok(Outcome::refused(SEC_E_BUFFER_TOO_SMALL))
    }

    /// What the credential thinks of the peer's certificates.
    pub fn judge(&self, chain: &[Vec<u8>], switches: &Switches) -> Result<(), rustls::Error> {
        self.judge.learn(switches.revocation.clone());
        let chain: Vec<_> = chain
            .iter()
            .map(|certificate| CertificateDer::from(certificate.as_slice()))
            .collect();
        self.judge.judge(&chain, self.target.as_ref())
    }

    /// Does something with the session of a context whose handshake is done.
    pub fn with_session<T>(&self, act: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        tls.engine.session().map(act)
    }
}

impl Tls {
    /// One leg of the engine; whether its outcome is to come late.
    fn advance(&mut self, input: &[u8], switches: &Switches) -> (Outcome, bool) {
        let open = self.engine.session();
        let was_open = open.is_some();
        let outcome = match open {
            Some(session) if switches.post_handshake == PostHandshake::Unsupported => {
                session.refused_leg(input)
            }
            _ => self.engine.leg(input).ok(),
        };
        let Some(outcome) = outcome else {
            // Other bytes than those that SEC_E_INCOMPLETE_MESSAGE or SEC_I_RENEGOTIATE was about. A program
            // may send the driver what it likes: that is no fault of the driver's.
            return (self.engine.give_up(), false);
        };
        let says_something = outcome.status == SEC_E_OK
            || (outcome.status == SEC_I_CONTINUE_NEEDED && !outcome.token.is_empty());
        let late = switches.extra == Extra::Late
            && !was_open
            && says_something
            && (1..input.len()).contains(&outcome.consumed);
        (outcome, late)
    }
}

/// The call is to be repeated as it was, and by nobody but the driver.
fn not_repeated() -> Broken {
    Broken {
        rule: INPUT_NOT_REPEATED,
        detail: "other bytes after SEC_E_BUFFER_TOO_SMALL".to_owned(),
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
