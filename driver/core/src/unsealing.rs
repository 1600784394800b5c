//! UNSEAL of many records: cuts the stream record by record, and says what becomes of each.

use crate::{
    record::{self, Alert, Front, Place},
    records::{Move, Span, Stop, Summary},
    status::{self, RecordMeaning},
};
use tlsgate_protocol::{SecurityStatus, payload::outcome};

/// The progress of an UNSEAL: unseal [`Self::next`] until there is none.
#[derive(Debug)]
pub struct Unsealing {
    length: usize,
    consumed: usize,
    produced: usize,
    token: usize,
    /// Where that ends what Schannel may have written to.
    touched: usize,
    stop: Option<Stop>,
}

/// What `UnsealMessage` made of a record. Places are from the record's front, and not yet believed.
#[derive(Clone, Copy, Debug)]
pub struct Unsealed {
    /// The status.
    pub status: SecurityStatus,
    /// The DATA buffer, if there is one.
    pub data: Option<Span>,
    /// The EXTRA buffer, if there is one.
    pub extra: Option<Span>,
    /// The length of the MISSING buffer, if there is one.
    pub missing: Option<usize>,
}

impl Unsealing {
    /// Before the first record of so many bytes of stream.
    #[must_use]
    pub const fn new(length: usize) -> Self {
        Self {
            length,
            consumed: 0,
            produced: 0,
            token: 0,
            touched: 0,
            stop: None,
        }
    }

    /// The record to unseal now, cut by its own header, so that nothing behind it is touched; `None`
    /// when the call is over. `bytes` is the buffer.
    ///
    /// Schannel judges whatever has a whole record's form. A header that no TLS record has is refused
    /// here, with [`Alert::REFUSAL`] like a leg's: there is no telling where its record would end.
    pub fn next(&mut self, bytes: &[u8]) -> Option<Span> {
        let is_at_its_end = self.consumed > 0 && self.consumed >= self.length;
        if self.stop.is_some() || is_at_its_end {
            return None;
        }
        let rest = bytes.get(self.consumed..self.length).unwrap_or_default();
        match record::front(rest, Place::Later) {
            Front::Whole => {
                let record = Span {
                    start: self.consumed,
                    // Whole: its header is there.
                    length: record::stated_length(rest).unwrap_or(0),
                };
                self.touched = record.end();
                return Some(record);
            }
            Front::Partial(missing) => self.need_more(missing),
            Front::Refused(_) => self.fail(Alert::REFUSAL),
        }
        None
    }

    /// What became of the record that [`Self::next`] gave. Gives what is to be moved: data, or the
    /// token behind the data.
    pub fn unsealed(&mut self, record: Span, result: &Unsealed) -> Option<Move> {
        match status::of_record(result.status) {
            RecordMeaning::Data => return self.take_data(record, result),
            RecordMeaning::Renegotiate => return self.take_token(record, result),
            RecordMeaning::Incomplete => {
                // Schannel has consumed and changed nothing.
                self.touched = record.start;
                self.need_more(result.missing.unwrap_or(0));
            }
            RecordMeaning::Closed => {
                self.consumed = record.end();
                self.stop = Some(Stop::with(result.status, outcome::PEER_CLOSED));
            }
            RecordMeaning::Fatal => self.fail(result.status),
        }
        None
    }

    /// What the call came to, when [`Self::next`] gives nothing more.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let delivered = self.produced.saturating_add(self.token);
        Summary {
            consumed: self.consumed,
            produced: self.produced,
            token: self.token,
            wipe: delivered..self.touched.max(delivered),
            ..Summary::of(self.stop)
        }
    }

    /// Data, possibly none. Behind a single record there is no EXTRA; were there any, it would be taken
    /// for the next record, unless nothing at all was used up.
    fn take_data(&mut self, record: Span, result: &Unsealed) -> Option<Move> {
        let extra = result.extra.map_or(0, |extra| extra.length);
        let used = record.length.saturating_sub(extra);
        let data = result.data.unwrap_or(NOTHING);
        // What lies elsewhere than Schannel's own words allow must not be delivered as data.
        if used == 0 || !lies_within(data, used) {
            self.fail(SecurityStatus::SEC_E_INTERNAL_ERROR);
            return None;
        }
        let step = Move {
            from: record.start.saturating_add(data.start),
            to: self.produced,
            length: data.length,
        };
        self.consumed = record.start.saturating_add(used);
        self.produced = self.produced.saturating_add(data.length);
        (data.length > 0).then_some(step)
    }

    /// A post-handshake message: the bytes as Schannel left them go to the handshake function, the
    /// EXTRA ones if it says which, else the whole record (documentation of `DecryptMessage
    /// (Schannel)`).
    fn take_token(&mut self, record: Span, result: &Unsealed) -> Option<Move> {
        let whole = Span {
            start: 0,
            length: record.length,
        };
        let token = match result.extra {
            Some(extra) if extra.length > 0 => extra,
            _ => whole,
        };
        if !lies_within(token, record.length) {
            self.fail(SecurityStatus::SEC_E_INTERNAL_ERROR);
            return None;
        }
        self.consumed = record.end();
        self.token = token.length;
        self.stop = Some(Stop::with(result.status, outcome::RENEGOTIATE));
        Some(Move {
            from: record.start.saturating_add(token.start),
            to: self.produced,
            length: token.length,
        })
    }

    fn need_more(&mut self, missing: usize) {
        self.stop = Some(Stop {
            missing,
            ..Stop::with(SecurityStatus::SEC_E_INCOMPLETE_MESSAGE, outcome::NEED_MORE)
        });
    }

    fn fail(&mut self, status: SecurityStatus) {
        self.stop = Some(Stop::with(status, outcome::FAILED));
    }
}

const NOTHING: Span = Span {
    start: 0,
    length: 0,
};

/// Whether the bytes lie in the first `length` of the record. Where no bytes lie does not matter.
const fn lies_within(span: Span, length: usize) -> bool {
    span.length == 0 || span.end() <= length
}

#[cfg(test)]
#[path = "unsealing_tests.rs"]
mod tests;
