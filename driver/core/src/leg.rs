//! One leg: from the result of each call of the handshake function to the next step.
//!
//! A leg is one ACCEPT or CONNECT. It usually takes one call; it takes more when the output buffer was too
//! small, or when Schannel stopped behind a record and wants to be called again with the rest
//! (Microsoft's documentation of "Extra Buffers Returned by Schannel").

use crate::{
    record::{self, Alert, Front, Place},
    session::Phase,
    status::{self, Meaning},
};
use core::ops::Range;
use tlsgate_protocol::{SecurityStatus, limits::MAX_TOKEN};

/// Bytes of output a leg starts with: enough for a flight with a short certificate chain.
const FIRST_CAPACITY: usize = 8 * 1024;

/// Calls one leg may take. An input of [`tlsgate_protocol::limits::MAX_INPUT`] bytes holds fewer
/// handshake messages that anyone sends in one flight.
const MOST_CALLS: u8 = 32;

/// The progress of one leg.
#[derive(Debug)]
pub struct Leg {
    consumed: usize,
    capacity: usize,
    calls: u8,
}

/// What one call of the handshake function gave.
#[derive(Clone, Copy, Debug)]
pub struct CallResult {
    /// The status of the operation.
    pub status: SecurityStatus,
    /// Bytes in the output TOKEN.
    pub produced: usize,
    /// Length of the EXTRA buffer, if there is one: bytes at the end of the input not used.
    pub extra: Option<usize>,
    /// Length of the MISSING buffer, if there is one.
    pub missing: Option<usize>,
    /// The ALERT buffer, if it was filled.
    pub alert: Option<Alert>,
}

/// What to do after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Call again: the output buffer or the range of the input has changed.
    Again,
    /// The leg is over.
    Reply(Outcome),
}

/// What a leg came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The status, as ksecdd gave it or as the driver chose it without a call.
    pub status: SecurityStatus,
    /// Bytes of the request's input that are used up.
    pub consumed: usize,
    /// Bytes of token to send.
    pub produced: usize,
    /// Bytes wanted, as far as known.
    pub missing: usize,
    /// The alert to send or that was sent.
    pub alert: Option<Alert>,
    /// What the session becomes; `None` leaves it.
    pub becomes: Option<Phase>,
}

/// Whether a leg's input is worth a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A whole record is there.
    Call,
    /// Not yet; the reply says so, nothing has changed.
    Wait(Outcome),
    /// Never; the session fails, `token` is to be sent if it has no keys yet.
    Refuse(Outcome, Alert),
}

/// Looks at a leg's input before any call is made for it.
#[must_use]
pub fn admit(input: &[u8], place: Place) -> Admission {
    match record::front(input, place) {
        Front::Whole(_) => Admission::Call,
        Front::Partial(missing) => Admission::Wait(Outcome {
            missing,
            ..Outcome::bare(SecurityStatus::SEC_E_INCOMPLETE_MESSAGE)
        }),
        Front::Refused(alert) => Admission::Refuse(
            Outcome {
                consumed: input.len(),
                alert: Some(alert),
                becomes: Some(Phase::Failed),
                ..Outcome::bare(Alert::REFUSAL)
            },
            alert,
        ),
    }
}

impl Leg {
    /// A leg before its first call.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            consumed: 0,
            capacity: FIRST_CAPACITY,
            calls: 0,
        }
    }

    /// The part of the input that the next call gets. `length` is the whole input's.
    #[must_use]
    pub const fn range(&self, length: usize) -> Range<usize> {
        self.consumed..length
    }

    /// The bytes of output that the next call gets.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// The next step after a call with [`Self::range`] of `input` and [`Self::capacity`] of output.
    pub fn after(&mut self, input: &[u8], result: &CallResult) -> Step {
        self.calls = self.calls.saturating_add(1);
        let given = input.len().saturating_sub(self.consumed);
        let (extra, produced) = (result.extra.unwrap_or(0), result.produced);
        let meaning = status::of_leg(result.status);
        let has_output = matches!(meaning, Meaning::Continue | Meaning::Done);
        // Schannel's word, but the reply is cut by these numbers.
        if extra > given || (has_output && produced > self.capacity) {
            return Step::Reply(Outcome::failed(SecurityStatus::SEC_E_INTERNAL_ERROR));
        }
        match meaning {
            Meaning::Grow => match self.capacity.saturating_mul(2) {
                larger @ ..=MAX_TOKEN => {
                    self.capacity = larger;
                    Step::Again
                }
                _ => Step::Reply(Outcome::failed(result.status)),
            },
            Meaning::Incomplete => Step::Reply(Outcome {
                consumed: self.consumed,
                missing: result.missing.unwrap_or(0),
                ..Outcome::bare(result.status)
            }),
            Meaning::Continue => {
                self.consumed = input.len().saturating_sub(extra);
                let rest = input.get(self.consumed..).unwrap_or_default();
                let progressed = extra < given;
                if produced == 0
                    && progressed
                    && self.calls < MOST_CALLS
                    && matches!(record::front(rest, Place::Later), Front::Whole(_))
                {
                    return Step::Again;
                }
                Step::Reply(Outcome {
                    consumed: self.consumed,
                    produced,
                    alert: result.alert,
                    ..Outcome::bare(result.status)
                })
            }
            Meaning::Done => Step::Reply(Outcome {
                consumed: input.len().saturating_sub(extra),
                produced,
                alert: result.alert,
                becomes: Some(Phase::Established),
                ..Outcome::bare(result.status)
            }),
            // A failed call may leave the buffer's length as it was: that is no token.
            Meaning::Fatal => Step::Reply(Outcome {
                consumed: input.len(),
                produced: if produced < self.capacity {
                    produced
                } else {
                    0
                },
                alert: result.alert,
                ..Outcome::failed(result.status)
            }),
        }
    }
}

impl Default for Leg {
    fn default() -> Self {
        Self::new()
    }
}

impl Outcome {
    const fn bare(status: SecurityStatus) -> Self {
        Self {
            status,
            consumed: 0,
            produced: 0,
            missing: 0,
            alert: None,
            becomes: None,
        }
    }

    /// The leg failed without output.
    #[must_use]
    pub const fn failed(status: SecurityStatus) -> Self {
        let mut outcome = Self::bare(status);
        outcome.becomes = Some(Phase::Failed);
        outcome
    }
}

#[cfg(test)]
#[path = "leg_tests.rs"]
mod tests;
