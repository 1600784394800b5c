//! SEAL of many records: where each of them lies in the buffer, and how far the call has come.

use crate::records::{Move, Stop, Summary};
use tlsgate_protocol::{SecurityStatus, limits, payload::outcome};

/// Where a plaintext and its records lie.
#[derive(Clone, Copy, Debug)]
pub struct SealPlan {
    offset: usize,
    plaintext: usize,
    header: usize,
    trailer: usize,
    maximum: usize,
    room: usize,
}

/// The parts of a record to seal, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Where the header begins.
    pub start: usize,
    /// Bytes of header.
    pub header: usize,
    /// Bytes of data.
    pub data: usize,
    /// Bytes of trailer.
    pub trailer: usize,
}

/// The progress of a SEAL: [`SealPlan::spread`] the plaintext, then seal [`Self::next`] until there
/// is none.
#[derive(Debug)]
pub struct Sealing {
    plan: SealPlan,
    record: usize,
    consumed: usize,
    produced: usize,
    stop: Option<Stop>,
}

impl SealPlan {
    /// The plan for so many bytes of plaintext and the session's stream sizes. No plaintext makes one
    /// empty record. `None` when the sizes make no sense.
    #[must_use]
    pub fn new(plaintext: usize, header: usize, trailer: usize, maximum: usize) -> Option<Self> {
        Some(Self {
            offset: 0,
            plaintext,
            header,
            trailer,
            maximum,
            room: limits::sealed_room(plaintext, header, trailer, maximum)?,
        })
    }

    /// The same for a plaintext that begins so many bytes from the front: where its first record has its data, the
    /// first chunk need not be moved. `None` if that is behind it.
    #[must_use]
    pub fn beginning_at(self, offset: usize) -> Option<Self> {
        (offset <= self.header).then_some(Self { offset, ..self })
    }

    /// The room that the records need at most.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.room
    }

    /// Moves every chunk of plaintext to its place between header and trailer. None is moved to the front: the
    /// plaintext begins no further behind than the first record's data. In this order, from the last chunk on,
    /// none is written over before it has been moved.
    pub fn spread(&self) -> impl Iterator<Item = Move> + use<> {
        let plan = *self;
        // `new` has refused a maximum of 0.
        let records = plan.plaintext.div_ceil(plan.maximum.max(1));
        (0..records).rev().map(move |record| {
            let parts = plan.parts(record);
            Move {
                from: record
                    .saturating_mul(plan.maximum)
                    .saturating_add(plan.offset),
                to: parts.start.saturating_add(parts.header),
                length: parts.data,
            }
        })
    }

    /// The places of one record. Nothing saturates: all of it lies within `room`.
    fn parts(&self, record: usize) -> Parts {
        let overhead = self.header.saturating_add(self.trailer);
        let before = record.saturating_mul(self.maximum);
        Parts {
            start: record.saturating_mul(overhead).saturating_add(before),
            header: self.header,
            data: self.plaintext.saturating_sub(before).min(self.maximum),
            trailer: self.trailer,
        }
    }
}

impl Parts {
    /// Bytes of the whole record at most.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.header
            .saturating_add(self.data)
            .saturating_add(self.trailer)
    }
}

impl Sealing {
    /// Before the first record.
    #[must_use]
    pub const fn new(plan: SealPlan) -> Self {
        Self {
            plan,
            record: 0,
            consumed: 0,
            produced: 0,
            stop: None,
        }
    }

    /// The record to seal now; `None` when the call is over.
    #[must_use]
    pub fn next(&self) -> Option<Parts> {
        let is_more = self.record == 0 || self.consumed < self.plan.plaintext;
        (self.stop.is_none() && is_more).then(|| self.plan.parts(self.record))
    }

    /// The record of [`Self::next`] was sealed with this status, and takes so many bytes. Gives what
    /// is to be moved: a record may come out shorter than its room, and no gap may be sent.
    ///
    /// `SEC_E_CONTEXT_EXPIRED` is no failure but [`outcome::RENEGOTIATE`]: Schannel says it from the
    /// moment that UNSEAL meets a post-handshake message until a leg has seen it (documentation of
    /// `DecryptMessage (Schannel)`), and UNSEAL may run beside SEAL. Nothing of the record was sent,
    /// so there is no hole: what was not consumed may be sealed after that leg.
    pub fn sealed(&mut self, status: SecurityStatus, length: usize) -> Option<Move> {
        let parts = self.next()?;
        let stop = match status {
            SecurityStatus::SEC_E_OK if length <= parts.room() => {
                let step = Move {
                    from: parts.start,
                    to: self.produced,
                    length,
                };
                self.record = self.record.saturating_add(1);
                self.consumed = self.consumed.saturating_add(parts.data);
                self.produced = self.produced.saturating_add(length);
                return Some(step);
            }
            // More than there was room for: whatever it is, it is not to be sent.
            SecurityStatus::SEC_E_OK => {
                Stop::with(SecurityStatus::SEC_E_INTERNAL_ERROR, outcome::FAILED)
            }
            SecurityStatus::SEC_E_CONTEXT_EXPIRED => Stop::with(status, outcome::RENEGOTIATE),
            _ => Stop::with(status, outcome::FAILED),
        };
        self.stop = Some(stop);
        None
    }

    /// What the call came to, when [`Self::next`] gives nothing more.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            consumed: self.consumed,
            produced: self.produced,
            wipe: self.produced..self.plan.room,
            ..Summary::of(self.stop)
        }
    }
}

#[cfg(test)]
#[path = "sealing_tests.rs"]
mod tests;
