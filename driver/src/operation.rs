//! An operation: what goes through the queue, is inside ksecdd during a call, and ends once.
//!
//! It has one owner at a time, by its type: dispatch, the queue, an issuer, ksecdd (the slot of an
//! async context), the callback. What its request needs from several threads is in
//! [`Pending`](crate::pending::Pending).

use crate::{
    acquire::{self, Acquisition},
    ending::{self, Ending},
    gate::Gate,
    leg::{self, HandshakeLeg},
    memory::{Shared, try_box},
    nt::token::Client,
    pending::Pending,
    sspi::{Completed, Issued, When},
};
use alloc::boxed::Box;
use core::mem;
use tlsgate_core::{queue::Refused, ticket::Begin};
use tlsgate_protocol::{NtStatus, SecurityStatus};

/// One operation.
pub struct Operation {
    gate: &'static Gate,
    /// It counts among those inside ksecdd.
    admitted: bool,
    /// The request it is for, if any.
    pub pending: Option<Shared<Pending>>,
    work: Work,
}

/// What an operation does.
#[expect(
    clippy::large_enum_variant,
    reason = "lives in its operation's own heap block"
)]
pub enum Work {
    /// Held in reserve for closing, or done.
    Nothing,
    /// Carries a caller's token to dispatch.
    Token(Client),
    /// Acquires a credential.
    Acquire(Acquisition),
    /// A leg of a handshake.
    Leg(HandshakeLeg),
    /// Ends a session or a credential.
    End {
        /// The right to.
        ending: Ending,
        /// What the call gave, once it has.
        result: Option<SecurityStatus>,
    },
}

impl Operation {
    /// An operation, with its place in the queue and in the driver's life. IRQL: up to
    /// DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// There are too many, there is no memory, or the driver is being unloaded.
    pub fn new(gate: &'static Gate, work: Work) -> Result<Box<Self>, NtStatus> {
        if !gate.enter() {
            return Err(NtStatus::STATUS_INVALID_DEVICE_STATE);
        }
        let registered = gate.issuers.register();
        if registered.is_err() {
            gate.leave();
        }
        registered.map_err(|refused| match refused {
            Refused::TooMany => {
                gate.counters.quota_refusals.up();
                NtStatus::STATUS_QUOTA_EXCEEDED
            }
            Refused::OutOfMemory => NtStatus::STATUS_INSUFFICIENT_RESOURCES,
        })?;
        try_box(Self {
            gate,
            admitted: false,
            pending: None,
            work,
        })
        .map_err(|_| {
            gate.issuers.forget(false);
            gate.leave();
            NtStatus::STATUS_INSUFFICIENT_RESOURCES
        })
    }

    /// The driver's gate.
    pub const fn gate(&self) -> &'static Gate {
        self.gate
    }

    /// What it does, in place: addresses in it are good while the operation lives.
    pub const fn work(&mut self) -> &mut Work {
        &mut self.work
    }

    /// Gives an operation without work something to do.
    pub fn set(&mut self, work: Work) {
        self.work = work;
    }

    /// Takes the work out, for its end.
    pub fn take(&mut self) -> Work {
        mem::replace(&mut self.work, Work::Nothing)
    }

    /// The end of an operation. The driver may be unloaded right after: a callback's last statement.
    /// (Dispatch is kept by its handle, an issuer is joined.) IRQL: up to DISPATCH_LEVEL, unless it carries a token.
    pub fn end(self: Box<Self>) {
        let (gate, admitted) = (self.gate, self.admitted);
        drop(self);
        gate.issuers.forget(admitted);
        gate.leave();
    }

    /// The next step, on an issuer's thread at PASSIVE_LEVEL.
    pub fn step(mut self: Box<Self>) {
        if matches!(self.work, Work::Token(_) | Work::Nothing) {
            return self.end();
        }
        self.admitted = true;
        match self.work {
            Work::Leg(_) => leg::step(self),
            Work::Acquire(_) => acquire::step(self),
            Work::End { .. } => ending::step(self),
            Work::Token(_) | Work::Nothing => {}
        }
    }

    /// Before a call: whether the request still wants it.
    pub fn begin(&self) -> Begin {
        self.pending
            .as_ref()
            .map_or(Begin::Issue, |pending| pending.begin())
    }

    /// After a call that completed or was not made: the request hears of it. IRQL: up to
    /// DISPATCH_LEVEL.
    pub fn returned(&self) {
        if let Some(pending) = &self.pending {
            pending.returned();
        }
    }
}

/// Goes on after a call, on the issuer's thread. Gives the operation back when the call was
/// refused: its async context must go into quarantine.
pub fn settle(
    gate: &'static Gate,
    issued: Issued<Operation>,
) -> Option<(Box<Operation>, SecurityStatus)> {
    let counters = &gate.counters;
    counters.calls.up();
    match issued {
        Issued::Pending => counters.completed_late.up(),
        Issued::Completed(operation, status, when) => {
            match when {
                When::Inline => counters.completed_inline.up(),
                When::Early => counters.completed_early.up(),
            }
            operation.completed(status);
        }
        Issued::Refused(operation, status) => {
            counters.calls_refused.up();
            return Some((operation, status));
        }
    }
    None
}

impl Completed for Operation {
    fn completed(mut self: Box<Self>, status: SecurityStatus) {
        self.returned();
        match &mut self.work {
            Work::Leg(_) => leg::completed(self, status),
            Work::Acquire(_) => acquire::completed(self, status),
            // What remains is for PASSIVE_LEVEL.
            Work::End { result, .. } => {
                *result = Some(status);
                self.gate.issuers.go_on(self);
            }
            Work::Token(_) | Work::Nothing => self.end(),
        }
    }

    fn called_back(irql: u8) {
        if let Some(gate) = Gate::get() {
            gate.counters
                .highest_callback_irql
                .at_least(u64::from(irql));
        }
    }

    fn stray() {
        if let Some(gate) = Gate::get() {
            gate.counters.stray_callbacks.up();
        }
    }
}
