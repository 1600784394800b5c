//! UNSEAL in place, played through on a real buffer, with results that are true and others that are not: what
//! is delivered is what Schannel has left, in order; nothing not yet consumed is written over; and plaintext
//! that is not delivered is wiped.

use arbitrary::{Arbitrary, Unstructured};
use tlsgate_core::{
    records::Span,
    status::{RecordMeaning, row_of},
    unsealing::{Unsealed, Unsealing},
};
use tlsgate_protocol::{SecurityStatus, payload::outcome};

/// A record of the stream.
#[derive(Arbitrary, Debug)]
struct Record {
    kind: u8,
    length: u8,
    /// What Schannel makes of it.
    result: Made,
}

#[derive(Arbitrary, Debug)]
enum Made {
    /// Data between five bytes of header and so much trailer.
    Data(u8),
    /// A post-handshake message, left where the data would be, or said to be the whole record.
    Message(bool),
    Closed,
    Incomplete(Option<u16>),
    Status(i32),
    /// Places that mean nothing.
    Wild(i32, Option<Place>, Option<Place>),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Place {
    Near(u8, u8),
    Any(usize, usize),
}

impl Place {
    fn span(self) -> Span {
        match self {
            Self::Near(start, length) => Span {
                start: start.into(),
                length: length.into(),
            },
            Self::Any(start, length) => Span { start, length },
        }
    }
}

/// Runs it.
pub fn run(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let cut = usize::from(bytes.arbitrary::<u8>().unwrap_or(0));
    let Ok(records) = bytes.arbitrary::<Vec<Record>>() else {
        return;
    };
    let mut stream = Vec::new();
    for (number, record) in (0..=255_u8).cycle().zip(&records) {
        // Three of four kinds are TLS.
        let kind = [23, 23, 22, record.kind][usize::from(record.kind) % 4];
        stream.extend([kind, 3, 3, 0, record.length]);
        let content = (0..record.length).map(|at| at ^ number.wrapping_mul(37));
        stream.extend(content);
    }
    stream.truncate(stream.len().saturating_sub(cut % 16));
    let mut play = Play {
        unsealing: Unsealing::new(stream.len()),
        touched: vec![false; stream.len()],
        stream,
        data: Vec::new(),
        token: Vec::new(),
        at: 0,
    };
    let mut results = records.iter().map(|record| &record.result);
    while let Some(span) = play.unsealing.next(&play.stream) {
        // There are as many results as records, unless lies have made more of them.
        let result = results.next().unwrap_or(&Made::Closed);
        play.one(span, result);
    }
    play.check();
}

/// An UNSEAL as the driver plays it.
struct Play {
    unsealing: Unsealing,
    stream: Vec<u8>,
    /// What Schannel may have made plaintext of.
    touched: Vec<bool>,
    /// What is to be delivered.
    data: Vec<u8>,
    token: Vec<u8>,
    /// Where the stream is used up to.
    at: usize,
}

impl Play {
    fn one(&mut self, span: Span, made: &Made) {
        assert_eq!(span.start, self.at, "the next record");
        assert!(span.length >= 5 && span.end() <= self.stream.len());
        let result = made.result(span.length);
        let meaning = row_of(result.status).record;
        if meaning != RecordMeaning::Incomplete {
            self.touched[span.start..span.end()].fill(true);
        }
        let extra = result.extra.map_or(0, |extra| extra.length);
        let step = self.unsealing.unsealed(span, &result);
        let after = self.unsealing.summary().consumed;
        assert!(after >= self.at && after <= span.end());
        if let Some(step) = step {
            assert!(step.from >= span.start && step.from + step.length <= span.end());
            // The stream behind this record's used part is still to be read.
            assert!(
                step.to + step.length <= after,
                "over what is still to be read"
            );
            let moved = self.stream[step.from..step.from + step.length].to_vec();
            match meaning {
                RecordMeaning::Data => {
                    let data = result.data.expect("moved without data");
                    assert_eq!(
                        (step.from - span.start, step.length),
                        (data.start, data.length)
                    );
                    // All behind it is EXTRA by Schannel's own words.
                    assert!(data.start + data.length + extra <= span.length);
                    self.data.extend(moved);
                }
                RecordMeaning::Renegotiate => self.token = moved,
                _ => panic!("moved after {:?}", result.status),
            }
            let (from, to) = (step.from..step.from + step.length, step.to);
            self.stream.copy_within(from, to);
        }
        self.at = after;
    }

    fn check(&self) {
        let summary = self.unsealing.summary();
        assert_eq!(
            (summary.consumed, summary.produced),
            (self.at, self.data.len())
        );
        let delivered = self.data.len() + summary.token;
        assert_eq!(self.stream[..self.data.len()], self.data);
        assert_eq!(self.stream[self.data.len()..delivered], self.token);
        assert_eq!(summary.outcome == outcome::RENEGOTIATE, summary.token > 0);
        // Nothing but what is delivered, and what was never touched, is left as it is.
        for (at, touched) in self.touched.iter().enumerate().skip(delivered) {
            assert!(!touched || summary.wipe.contains(&at), "plaintext at {at}");
        }
        if summary.outcome == outcome::DATA {
            assert_eq!(summary.consumed, self.stream.len());
        }
    }
}

impl Made {
    /// For a record of so many bytes.
    fn result(&self, length: usize) -> Unsealed {
        let nothing = Unsealed {
            status: SecurityStatus::SEC_E_OK,
            data: None,
            extra: None,
            missing: None,
        };
        let inner = |trailer: usize| Span {
            start: 5,
            length: (length - 5).saturating_sub(trailer),
        };
        match *self {
            Self::Data(trailer) => Unsealed {
                data: Some(inner(trailer.into())),
                ..nothing
            },
            Self::Message(says_where) => Unsealed {
                status: SecurityStatus::SEC_I_RENEGOTIATE,
                extra: says_where.then(|| inner(1)),
                ..nothing
            },
            Self::Closed => Unsealed {
                status: SecurityStatus::SEC_I_CONTEXT_EXPIRED,
                ..nothing
            },
            Self::Incomplete(missing) => Unsealed {
                status: SecurityStatus::SEC_E_INCOMPLETE_MESSAGE,
                missing: missing.map(usize::from),
                ..nothing
            },
            Self::Status(status) => Unsealed {
                status: SecurityStatus(status),
                ..nothing
            },
            Self::Wild(status, data, extra) => Unsealed {
                // Most of those that mean something mean success.
                status: SecurityStatus(if status % 2 == 0 { 0 } else { status }),
                data: data.map(Place::span),
                extra: extra.map(Place::span),
                missing: None,
            },
        }
    }
}
