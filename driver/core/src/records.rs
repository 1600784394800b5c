//! Many records in one SEAL or UNSEAL, in place in one buffer: what lies where, and what moves when.
//!
//! Only offsets are computed here; the rim moves the bytes and calls `SealMessage` and
//! `UnsealMessage`, a record each time.
//!
//! SEAL: the plaintext lies at the front. Its chunks are spread, the last first, so that each has
//! room for header and trailer around it. Then they are sealed, the first first, and moved together,
//! as a sealed record may be shorter than its room (documentation of `EncryptMessage (Schannel)`: the
//! lengths of the three buffers after the call count).
//!
//! UNSEAL: the stream lies at the front. Record by record the plaintext moves to the front, behind
//! what is there. It stays, whatever a later record turns out to be.

use crate::{
    record::{self, Alert, Front, Place},
    status::{self, RecordMeaning},
};
use core::ops::Range;
use tlsgate_protocol::SecurityStatus;

/// Most bytes of stream that one SEAL makes or one UNSEAL takes.
pub const MOST_STREAM: usize = 1 << 20;

/// `length` bytes at `from` are to lie at `to`; the two may overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Where they lie.
    pub from: usize,
    /// Where they are to lie.
    pub to: usize,
    /// How many.
    pub length: usize,
}

/// Plaintext cut into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealPlan {
    length: usize,
    sizes: Sizes,
    records: usize,
    room: usize,
}

/// What `QueryContextAttributesW` says of a context (`SecPkgContext_StreamSizes`), in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Room in front of a record's data.
    pub header: usize,
    /// Room behind it.
    pub trailer: usize,
    /// Most data of a record.
    pub maximum: usize,
}

/// Where one record is sealed; header, data and trailer lie one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToSeal {
    /// Where its header begins.
    pub start: usize,
    /// Bytes of header.
    pub header: usize,
    /// Bytes of data.
    pub data: usize,
    /// Bytes of trailer.
    pub trailer: usize,
}

/// A plan that is being carried out, after the plaintext was spread.
#[derive(Debug)]
pub struct Sealing {
    plan: SealPlan,
    next: usize,
    written: usize,
}

/// Stream bytes that are being unsealed.
#[derive(Debug)]
pub struct Unsealing {
    length: usize,
    consumed: usize,
    produced: usize,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Unseal the record in this range.
    Record(Range<usize>),
    /// That was all.
    End(Unsealed),
}

/// What `UnsealMessage` gave for one record. Places are relative to the record's start.
#[derive(Clone, Copy, Debug)]
pub struct RecordResult {
    /// Its status.
    pub status: SecurityStatus,
    /// Place and length of the DATA buffer, if there is one.
    pub data: Option<(usize, usize)>,
    /// Place and length of the EXTRA buffer, if there is one.
    pub extra: Option<(usize, usize)>,
    /// Length of the MISSING buffer, if there is one.
    pub missing: Option<usize>,
}

/// What became of a stream. At the front of the buffer lie `produced` bytes of plaintext and then
/// `token` bytes for the handshake function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsealed {
    /// Why it ended. Whatever it is, the plaintext counts.
    pub meaning: RecordMeaning,
    /// The status of the call that ended it, or the one that the driver chose without a call.
    pub status: SecurityStatus,
    /// Bytes of stream that are used up.
    pub consumed: usize,
    /// Bytes of plaintext.
    pub produced: usize,
    /// Bytes of token, of a record that is to be seen by the handshake function.
    pub token: usize,
    /// About how many bytes are missing of the next record; 0 if unknown, or if there is none.
    pub missing: usize,
}

impl SealPlan {
    /// A plan for `length` bytes of plaintext; no plaintext is one empty record. `None` if a record
    /// holds nothing, or the sealed stream could be more than [`MOST_STREAM`].
    #[must_use]
    pub fn new(length: usize, sizes: Sizes) -> Option<Self> {
        if sizes.maximum == 0 {
            return None;
        }
        let records = length.div_ceil(sizes.maximum).max(1);
        let around = sizes.header.checked_add(sizes.trailer)?;
        let room = records.checked_mul(around)?.checked_add(length)?;
        (room <= MOST_STREAM).then_some(Self {
            length,
            sizes,
            records,
            room,
        })
    }

    /// The most plaintext whose sealed stream fits into `room` bytes, and into [`MOST_STREAM`]; 0 also
    /// when not even an empty record does.
    #[must_use]
    pub fn largest(room: usize, sizes: Sizes) -> usize {
        let room = room.min(MOST_STREAM);
        let around = sizes.header.saturating_add(sizes.trailer);
        let full = around.saturating_add(sizes.maximum);
        let (Some(records), Some(rest)) = (room.checked_div(full), room.checked_rem(full)) else {
            return 0;
        };
        records
            .saturating_mul(sizes.maximum)
            .saturating_add(rest.saturating_sub(around))
    }

    /// Records.
    #[must_use]
    pub const fn records(&self) -> usize {
        self.records
    }

    /// Bytes that the plan needs from the plaintext's first on, whatever sealing makes of it.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.room
    }

    /// What is to move before anything is sealed, in this order.
    pub fn spread(self) -> impl Iterator<Item = Move> {
        (0..self.records).rev().map(move |index| {
            let record = self.record(index);
            Move {
                from: self.sizes.maximum.saturating_mul(index),
                to: record.start.saturating_add(record.header),
                length: record.data,
            }
        })
    }

    /// Begins, after the plaintext was spread.
    #[must_use]
    pub const fn sealing(self) -> Sealing {
        Sealing {
            plan: self,
            next: 0,
            written: 0,
        }
    }

    /// The plan was checked to fit: nothing saturates.
    fn record(&self, index: usize) -> ToSeal {
        let Sizes {
            header,
            trailer,
            maximum,
        } = self.sizes;
        let full = header.saturating_add(maximum).saturating_add(trailer);
        let before = maximum.saturating_mul(index);
        ToSeal {
            start: full.saturating_mul(index),
            header,
            data: self.length.saturating_sub(before).min(maximum),
            trailer,
        }
    }
}

impl Sealing {
    /// The record to seal now; `None` after the last.
    #[must_use]
    pub fn next(&self) -> Option<ToSeal> {
        (self.next < self.plan.records).then(|| self.plan.record(self.next))
    }

    /// It was sealed, and has `length` bytes: its move behind those before. `None` if it cannot have
    /// so many; then, and if it could not be sealed, [`Self::written`] bytes of records are good, and
    /// the session is of no more use.
    pub fn sealed(&mut self, length: usize) -> Option<Move> {
        let record = self.next()?;
        let most = [record.header, record.data, record.trailer]
            .iter()
            .fold(0_usize, |sum, part| sum.saturating_add(*part));
        if length > most {
            return None;
        }
        let to = self.written;
        self.next = self.next.saturating_add(1);
        self.written = to.saturating_add(length);
        Some(Move {
            from: record.start,
            to,
            length,
        })
    }

    /// Bytes of sealed records at the front. What is behind them in the plan's room is to be wiped.
    #[must_use]
    pub const fn written(&self) -> usize {
        self.written
    }
}

impl Unsealing {
    /// Before the first of `length` bytes of stream. `None` if they are more than [`MOST_STREAM`].
    #[must_use]
    pub fn new(length: usize) -> Option<Self> {
        (length <= MOST_STREAM).then_some(Self {
            length,
            consumed: 0,
            produced: 0,
        })
    }

    /// What to do next with `bytes`, which begin with the stream.
    #[must_use]
    pub fn next(&self, bytes: &[u8]) -> Next {
        let rest = bytes.get(self.consumed..self.length).unwrap_or_default();
        let end = match record::front(rest, Place::Later) {
            Front::Whole(length) => self.consumed.saturating_add(length),
            Front::Partial(missing) => {
                let missing = if rest.is_empty() && self.consumed > 0 {
                    0
                } else {
                    missing
                };
                return Next::End(self.paused(missing));
            }
            Front::Refused(_) => return Next::End(self.failed(Alert::REFUSAL)),
        };
        Next::Record(self.consumed..end)
    }

    /// What `record`, which [`Self::next`] gave, has become: the move to make, if any, and the end, if
    /// it is one.
    pub fn after(
        &mut self,
        record: &Range<usize>,
        result: &RecordResult,
    ) -> (Option<Move>, Option<Unsealed>) {
        let length = record.len();
        let extra = result.extra.map_or(0, |(_, extra)| extra);
        let found = match status::of_record(result.status) {
            RecordMeaning::Data => result.data.unwrap_or((0, 0)),
            RecordMeaning::Incomplete => {
                return (None, Some(self.paused(result.missing.unwrap_or(0))));
            }
            // The bytes as they are now go to the handshake function, the unprocessed ones if Schannel
            // says which, else all (documentation of `DecryptMessage (Schannel)`).
            RecordMeaning::Renegotiate => result.extra.unwrap_or((0, length)),
            RecordMeaning::Closed => (0, 0),
            RecordMeaning::Fatal => return (None, Some(self.failed(result.status))),
        };
        let meaning = status::of_record(result.status);
        let used = match meaning {
            RecordMeaning::Renegotiate => length,
            _ => length.saturating_sub(extra),
        };
        // Schannel's word, but bytes are moved by these numbers, and the walk must go on.
        let inside = found.0.checked_add(found.1).is_some_and(|end| end <= used);
        if !inside || used == 0 {
            return (
                None,
                Some(self.failed(SecurityStatus::SEC_E_INTERNAL_ERROR)),
            );
        }
        let step = Move {
            from: record.start.saturating_add(found.0),
            to: self.produced,
            length: found.1,
        };
        self.consumed = self.consumed.saturating_add(used).min(self.length);
        if meaning == RecordMeaning::Data {
            self.produced = self.produced.saturating_add(found.1);
            return (Some(step), None);
        }
        let end = Unsealed {
            meaning,
            token: found.1,
            ..self.ended(result.status)
        };
        (Some(step), Some(end))
    }

    /// A whole record is missing: the end for now.
    const fn paused(&self, missing: usize) -> Unsealed {
        let mut end = if self.consumed == 0 {
            let mut end = self.ended(SecurityStatus::SEC_E_INCOMPLETE_MESSAGE);
            end.meaning = RecordMeaning::Incomplete;
            end
        } else {
            self.ended(SecurityStatus::SEC_E_OK)
        };
        end.missing = missing;
        end
    }

    /// The stream cannot be gone on with: all of it is used up.
    const fn failed(&self, status: SecurityStatus) -> Unsealed {
        let mut end = self.ended(status);
        end.meaning = RecordMeaning::Fatal;
        end.consumed = self.length;
        end
    }

    const fn ended(&self, status: SecurityStatus) -> Unsealed {
        Unsealed {
            meaning: RecordMeaning::Data,
            status,
            consumed: self.consumed,
            produced: self.produced,
            token: 0,
            missing: 0,
        }
    }
}

impl Unsealed {
    /// What is to be wiped in a buffer that began with `length` bytes of stream: what lies behind the
    /// result may be plaintext once more. Nothing, when nothing was unsealed.
    #[must_use]
    pub const fn leftover(&self, length: usize) -> Range<usize> {
        match self.meaning {
            RecordMeaning::Incomplete => length..length,
            _ => self.produced.saturating_add(self.token)..length,
        }
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
