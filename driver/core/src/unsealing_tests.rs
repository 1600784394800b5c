//! UNSEAL of many records against a fake record layer and a naive model.

use super::*;
use proptest::{collection::vec, prelude::*};
use std::vec::Vec;

const APPLICATION_DATA: u8 = 23;
/// What the fake record layer does to the data.
const KEY: u8 = 0x55;
/// What it leaves of what it has read.
const USED: u8 = 0xDD;
/// Bytes that it has behind the five of a record's header, and behind the data.
const NONCE: usize = 3;
const TAG: usize = 4;

/// A record of the fake record layer: its kind is the first byte behind the header.
#[derive(Clone, Debug)]
enum Record {
    Data(Vec<u8>),
    /// A post-handshake message; whether Schannel says where it lies.
    Message(Vec<u8>, bool),
    Close,
    Altered,
    /// Whole by its header, but Schannel wants more.
    Unfinished,
    /// No TLS record has this header.
    Impossible,
}

impl Record {
    fn bytes(&self) -> Vec<u8> {
        let (kind, data): (u8, &[u8]) = match self {
            Self::Data(data) => (0, data),
            Self::Message(data, false) => (1, data),
            Self::Message(data, true) => (2, data),
            Self::Close => (3, &[]),
            Self::Altered => (4, &[1, 2, 3]),
            Self::Unfinished => (5, &[]),
            Self::Impossible => (6, &[]),
        };
        let length = u8::try_from(NONCE + data.len() + TAG).unwrap();
        let outer = if kind == 6 { 99 } else { APPLICATION_DATA };
        let mut bytes = Vec::from([outer, 3, 3, 0, length, kind, 0, 0]);
        bytes.extend(data.iter().map(|byte| byte ^ KEY));
        bytes.extend([0; TAG]);
        bytes
    }
}

fn stream(records: &[Record]) -> Vec<u8> {
    records.iter().flat_map(Record::bytes).collect()
}

/// Unseals one record in place, as Schannel does.
fn fake(record: &mut [u8]) -> Unsealed {
    let start = 5 + NONCE;
    let data = Span {
        start,
        length: record.len() - start - TAG,
    };
    let answer = |status| Unsealed {
        status,
        data: None,
        extra: None,
        missing: None,
    };
    let kind = record[5];
    if kind == 5 {
        return Unsealed {
            missing: Some(9),
            ..answer(SecurityStatus::SEC_E_INCOMPLETE_MESSAGE)
        };
    }
    let plain: Vec<u8> = record[start..data.end()]
        .iter()
        .map(|byte| byte ^ KEY)
        .collect();
    record.fill(USED);
    record[start..data.end()].copy_from_slice(&plain);
    match kind {
        0 => Unsealed {
            data: Some(data),
            ..answer(SecurityStatus::SEC_E_OK)
        },
        1 => answer(SecurityStatus::SEC_I_RENEGOTIATE),
        2 => Unsealed {
            extra: Some(data),
            ..answer(SecurityStatus::SEC_I_RENEGOTIATE)
        },
        3 => answer(SecurityStatus::SEC_I_CONTEXT_EXPIRED),
        _ => answer(SecurityStatus::SEC_E_MESSAGE_ALTERED),
    }
}

/// UNSEAL as the rim does it.
fn unseal(stream: &[u8]) -> (Summary, Vec<u8>) {
    let mut buffer = stream.to_vec();
    let mut unsealing = Unsealing::new(buffer.len());
    while let Some(record) = unsealing.next(&buffer) {
        let result = fake(&mut buffer[record.start..record.end()]);
        if let Some(step) = unsealing.unsealed(record, &result) {
            buffer.copy_within(step.from..step.from + step.length, step.to);
        }
    }
    let summary = unsealing.summary();
    buffer[summary.wipe.clone()].fill(0);
    (summary, buffer)
}

/// What an UNSEAL of whole records, and then of a part of one, must come to.
#[derive(Debug, PartialEq, Eq)]
struct Expected {
    outcome: u32,
    data: Vec<u8>,
    token: Vec<u8>,
    consumed: usize,
}

/// Record by record, each in its own memory.
fn naive(records: &[Record], whole: usize, cut: bool) -> Expected {
    let mut expected = Expected {
        outcome: outcome::DATA,
        data: Vec::new(),
        token: Vec::new(),
        consumed: 0,
    };
    for record in &records[..whole] {
        let mut bytes = record.bytes();
        let length = bytes.len();
        match record {
            Record::Data(data) => expected.data.extend(data),
            Record::Message(data, says_where) => {
                fake(&mut bytes);
                expected.outcome = outcome::RENEGOTIATE;
                let says_where = *says_where && !data.is_empty();
                expected.token = if says_where { data.clone() } else { bytes };
            }
            Record::Close => expected.outcome = outcome::PEER_CLOSED,
            Record::Altered | Record::Impossible => expected.outcome = outcome::FAILED,
            Record::Unfinished => expected.outcome = outcome::NEED_MORE,
        }
        if matches!(expected.outcome, outcome::FAILED | outcome::NEED_MORE) {
            return expected;
        }
        expected.consumed += length;
        if expected.outcome != outcome::DATA {
            return expected;
        }
    }
    if cut || whole == 0 {
        expected.outcome = outcome::NEED_MORE;
    }
    expected
}

fn parts(summary: &Summary, buffer: &[u8]) -> Expected {
    let (data, rest) = buffer.split_at(summary.produced);
    Expected {
        outcome: summary.outcome,
        data: data.to_vec(),
        token: rest[..summary.token].to_vec(),
        consumed: summary.consumed,
    }
}

#[test]
fn nothing_is_not_a_record() {
    let (summary, _) = unseal(&[]);
    assert_eq!(summary.status, SecurityStatus::SEC_E_INCOMPLETE_MESSAGE);
    assert_eq!((summary.outcome, summary.missing), (outcome::NEED_MORE, 5));
}

#[test]
fn a_record_without_data_is_a_success() {
    let bytes = stream(&[Record::Data(Vec::new())]);
    let (summary, _) = unseal(&bytes);
    assert_eq!((summary.outcome, summary.produced), (outcome::DATA, 0));
    assert_eq!(summary.consumed, bytes.len());
}

#[test]
fn what_is_not_whole_stays_as_it_was() {
    let mut bytes = stream(&[
        Record::Data(Vec::from(b"whole")),
        Record::Data(Vec::from(b"part")),
    ]);
    let first = Record::Data(Vec::from(b"whole")).bytes().len();
    bytes.truncate(bytes.len() - 2);
    let (summary, buffer) = unseal(&bytes);
    assert_eq!((summary.outcome, summary.missing), (outcome::NEED_MORE, 2));
    assert_eq!((summary.consumed, summary.produced), (first, 5));
    assert_eq!(buffer[first..], bytes[first..]);
}

#[test]
fn a_record_that_schannel_finds_unfinished_is_left_alone() {
    let bytes = stream(&[Record::Data(Vec::from(b"x")), Record::Unfinished]);
    let first = Record::Data(Vec::from(b"x")).bytes().len();
    let (summary, buffer) = unseal(&bytes);
    assert_eq!((summary.outcome, summary.missing), (outcome::NEED_MORE, 9));
    assert_eq!(summary.consumed, first);
    assert_eq!(buffer[first..], bytes[first..]);
}

#[test]
fn an_impossible_header_fails_without_a_call() {
    let mut unsealing = Unsealing::new(8);
    assert_eq!(unsealing.next(b"GET / HT"), None);
    let summary = unsealing.summary();
    assert_eq!(summary.status, SecurityStatus::SEC_E_INVALID_TOKEN);
    assert_eq!((summary.outcome, summary.consumed), (outcome::FAILED, 0));
}

#[test]
fn places_outside_the_record_are_not_believed() {
    let record = Span {
        start: 0,
        length: 20,
    };
    let span = |start, length| Some(Span { start, length });
    let (ok, message) = (SecurityStatus::SEC_E_OK, SecurityStatus::SEC_I_RENEGOTIATE);
    for (status, data, extra) in [
        (ok, span(16, 5), None),
        (ok, span(usize::MAX, 2), None),
        (ok, span(8, 8), span(15, 5)),
        (ok, None, span(0, 20)),
        (ok, None, span(0, 21)),
        (message, None, span(0, 21)),
        (message, None, span(19, 2)),
    ] {
        let mut unsealing = Unsealing::new(40);
        let result = Unsealed {
            status,
            data,
            extra,
            missing: None,
        };
        assert_eq!(unsealing.unsealed(record, &result), None, "{result:?}");
        let summary = unsealing.summary();
        assert_eq!(summary.status, SecurityStatus::SEC_E_INTERNAL_ERROR);
        assert_eq!((summary.outcome, summary.produced), (outcome::FAILED, 0));
    }
}

#[test]
fn an_empty_extra_says_nothing_of_where_a_message_lies() {
    let record = Span {
        start: 0,
        length: 20,
    };
    let result = Unsealed {
        status: SecurityStatus::SEC_I_RENEGOTIATE,
        data: None,
        extra: Some(Span {
            start: 8,
            length: 0,
        }),
        missing: None,
    };
    let mut unsealing = Unsealing::new(20);
    let step = unsealing.unsealed(record, &result).unwrap();
    assert_eq!((step.from, step.to, step.length), (0, 0, 20));
    assert_eq!(unsealing.summary().token, 20);
}

#[test]
fn where_no_data_lies_does_not_matter() {
    let record = Span {
        start: 0,
        length: 20,
    };
    let result = Unsealed {
        status: SecurityStatus::SEC_E_OK,
        data: Some(Span {
            start: usize::MAX,
            length: 0,
        }),
        extra: None,
        missing: None,
    };
    let mut unsealing = Unsealing::new(20);
    assert_eq!(unsealing.unsealed(record, &result), None);
    let summary = unsealing.summary();
    assert_eq!((summary.outcome, summary.consumed), (outcome::DATA, 20));
}

fn record() -> impl Strategy<Value = Record> {
    let bytes = || vec(any::<u8>(), 0..40);
    prop_oneof![
        12 => bytes().prop_map(Record::Data),
        1 => (bytes(), any::<bool>()).prop_map(|(bytes, says)| Record::Message(bytes, says)),
        1 => Just(Record::Close),
        1 => Just(Record::Altered),
        1 => Just(Record::Unfinished),
        1 => Just(Record::Impossible),
    ]
}

proptest! {
    #[test]
    fn records_in_one_buffer_give_what_they_give_one_by_one(
        records in vec(record(), 0..12),
        last in vec(any::<u8>(), 0..40),
        cut in any::<proptest::sample::Index>(),
    ) {
        // The last one is cut; at 0 it is not there at all.
        let partial = Record::Data(last).bytes();
        let kept = cut.index(partial.len());
        let mut bytes = stream(&records);
        bytes.extend(&partial[..kept]);
        let (summary, buffer) = unseal(&bytes);
        let expected = naive(&records, records.len(), kept > 0);
        prop_assert_eq!(parts(&summary, &buffer), expected);
        // Nothing that was read lies behind what is delivered.
        let delivered = summary.produced + summary.token;
        let read = summary.consumed.max(summary.wipe.end);
        if delivered < read {
            prop_assert!(buffer[delivered..read].iter().all(|&byte| byte == 0));
        }
        // What was not read is as it was.
        prop_assert_eq!(&buffer[read..], &bytes[read..]);
    }

    #[test]
    fn no_bytes_and_no_answer_make_it_panic(
        bytes in vec(any::<u8>(), 0..80),
        answers in vec((any::<bool>(), any::<[u16; 5]>()), 0..20),
    ) {
        let mut bytes = bytes;
        // So that some of them are records.
        for (place, byte) in [(0, 23), (1, 3), (3, 0)] {
            if let Some(target) = bytes.get_mut(place) {
                *target = byte;
            }
        }
        let mut unsealing = Unsealing::new(bytes.len());
        for (is_data, [a, b, c, d, e]) in answers {
            let Some(record) = unsealing.next(&bytes) else { break };
            prop_assert!(record.end() <= bytes.len());
            let small = |value: u16| usize::from(value % 90);
            let status = if is_data { SecurityStatus::SEC_E_OK } else { SecurityStatus::SEC_I_RENEGOTIATE };
            let result = Unsealed {
                status,
                data: Some(Span { start: small(a), length: small(b) }),
                extra: (e % 2 == 0).then(|| Span { start: small(c), length: small(d) }),
                missing: None,
            };
            if let Some(step) = unsealing.unsealed(record, &result) {
                prop_assert!(step.from + step.length <= bytes.len());
                prop_assert!(step.to <= step.from);
                bytes.copy_within(step.from..step.from + step.length, step.to);
            }
        }
        let summary = unsealing.summary();
        prop_assert!(summary.produced + summary.token <= bytes.len());
        prop_assert!(summary.wipe.end <= bytes.len() || summary.wipe.is_empty());
    }
}
