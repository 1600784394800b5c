//! Many records in one SEAL ([`crate::sealing`]) or UNSEAL ([`crate::unsealing`]), in place in one
//! buffer: what both have in common.
//!
//! The rim owns the bytes and calls Schannel, one record a call; core says which bytes a call gets,
//! what is to be moved where after it, when to stop, and what the reply says. All offsets are from
//! the front of the payload.
//!
//! The records before the last one are never lost, whatever that one gives: a sealed record cannot
//! be sealed again, and unsealed data cannot be had again.

use core::ops::Range;
use tlsgate_protocol::{SecurityStatus, payload::outcome};

/// Bytes of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where they begin.
    pub start: usize,
    /// How many.
    pub length: usize,
}

/// Bytes to be moved; source and target may overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Where they lie.
    pub from: usize,
    /// Where they belong.
    pub to: usize,
    /// How many.
    pub length: usize,
}

/// What a call of SEAL, UNSEAL or SHUTDOWN came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The status of the last record, as Schannel gave it or as the driver chose it without a call.
    pub status: SecurityStatus,
    /// [`outcome`] of the last record.
    pub outcome: u32,
    /// Bytes of the input that are used up.
    pub consumed: usize,
    /// Bytes at the front of the buffer.
    pub produced: usize,
    /// Bytes of token behind those.
    pub token: usize,
    /// Bytes wanted, as far as known.
    pub missing: usize,
    /// What may hold plaintext that is not delivered.
    pub wipe: Range<usize>,
}

/// Why a call stops before its end.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// The status that stopped it.
    pub status: SecurityStatus,
    /// [`outcome`].
    pub outcome: u32,
    /// Bytes wanted, as far as known.
    pub missing: usize,
}

impl Span {
    /// Where they end. A buffer is far shorter than what can be said.
    #[must_use]
    pub const fn end(self) -> usize {
        self.start.saturating_add(self.length)
    }
}

impl Stop {
    /// With nothing known to be missing.
    #[must_use]
    pub const fn with(status: SecurityStatus, outcome: u32) -> Self {
        Self {
            status,
            outcome,
            missing: 0,
        }
    }
}

impl Summary {
    /// What a call came to that made or used up nothing yet; without a stop it went to its end.
    #[must_use]
    pub fn of(stop: Option<Stop>) -> Self {
        let stop = stop.unwrap_or(Stop::with(SecurityStatus::SEC_E_OK, outcome::DATA));
        Self {
            status: stop.status,
            outcome: stop.outcome,
            consumed: 0,
            produced: 0,
            token: 0,
            missing: stop.missing,
            wipe: 0..0,
        }
    }
}
