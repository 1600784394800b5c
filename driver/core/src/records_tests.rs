//! A fake record layer, in place by the plans, against a plain one that copies.

use super::*;
use proptest::prelude::*;
use std::{vec, vec::Vec};

/// What the fake layer's "cipher" does to each byte.
const KEY: u8 = 0x5A;

const STREAM: Sizes = Sizes {
    header: 13,
    trailer: 16,
    maximum: 16_384,
};

fn shift(buffer: &mut [u8], step: Move) {
    buffer.copy_within(step.from..step.from + step.length, step.to);
}

fn header(length: usize) -> [u8; 5] {
    let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
    [23, 3, 3, high, low]
}

/// A record of `data` as the fake layer makes it: header, padding to the header's size, cipher, tag.
fn sealed(data: &[u8], header_size: usize, tag: usize) -> Vec<u8> {
    let mut record = header(header_size - 5 + data.len() + tag).to_vec();
    record.resize(header_size, 0xAA);
    record.extend(data.iter().map(|byte| byte ^ KEY));
    record.resize(record.len() + tag, 0xEE);
    record
}

/// Seals in place by the plan; the fake layer's tag may be shorter than the trailer's room.
fn seal_in_place(text: &[u8], sizes: Sizes, tags: &[usize]) -> Vec<u8> {
    let plan = SealPlan::new(text.len(), sizes).unwrap();
    let mut buffer = text.to_vec();
    buffer.resize(plan.room(), 0);
    for step in plan.spread() {
        shift(&mut buffer, step);
    }
    let mut sealing = plan.sealing();
    let mut count = 0;
    while let Some(place) = sealing.next() {
        let data = place.start + place.header..place.start + place.header + place.data;
        let tag = tags[count % tags.len()].min(place.trailer);
        let record = sealed(&buffer[data], place.header, tag);
        buffer[place.start..place.start + record.len()].copy_from_slice(&record);
        shift(&mut buffer, sealing.sealed(record.len()).unwrap());
        count += 1;
    }
    assert_eq!(count, plan.records());
    buffer.truncate(sealing.written());
    buffer
}

#[test]
fn a_plan_fits_the_limit_or_is_none() {
    let most = SealPlan::largest(usize::MAX, STREAM);
    let plan = SealPlan::new(most, STREAM).unwrap();
    assert!(plan.room() == MOST_STREAM && plan.records() == 64);
    assert_eq!(SealPlan::new(most + 1, STREAM), None);
    assert_eq!(SealPlan::new(usize::MAX, STREAM), None);
    let nothing = Sizes {
        maximum: 0,
        ..STREAM
    };
    assert_eq!(SealPlan::new(1, nothing), None);
    assert_eq!(SealPlan::largest(100, nothing), 0);
    assert_eq!(SealPlan::largest(10, STREAM), 0);
    let empty = SealPlan::new(0, STREAM).unwrap();
    assert_eq!((empty.records(), empty.room()), (1, 29));
}

#[test]
fn a_record_that_cannot_be_so_long_ends_the_sealing_and_keeps_the_good_ones() {
    let mut sealing = SealPlan::new(20_000, STREAM).unwrap().sealing();
    assert!(sealing.sealed(16_384 + 29).is_some());
    assert_eq!(sealing.sealed(20_000 - 16_384 + 30), None);
    assert_eq!(sealing.written(), 16_384 + 29);
}

/// A record of the peer, as the script has it.
#[derive(Clone, Debug)]
enum Sent {
    Data(Vec<u8>),
    /// A post-handshake message, and whether Schannel says where it lies.
    Handshake(Vec<u8>, bool),
    Close,
    Damaged,
    /// Not TLS.
    Noise,
}

/// A byte in front of the content says what it is, in the clear.
fn record_of(sent: &Sent) -> Vec<u8> {
    let (tag, content): (u8, &[u8]) = match sent {
        Sent::Data(data) => (0, data),
        Sent::Handshake(data, false) => (1, data),
        Sent::Handshake(data, true) => (2, data),
        Sent::Close => (3, &[]),
        Sent::Damaged => (4, b"damaged"),
        Sent::Noise => return b"GET / HTTP".to_vec(),
    };
    let mut record = header(content.len() + 2).to_vec();
    record.push(tag);
    record.extend(content.iter().map(|byte| byte ^ KEY));
    record.push(0xEE);
    record
}

fn unseal_fake(record: &mut [u8]) -> RecordResult {
    let place = (6, record.len() - 7);
    record[6..].iter_mut().for_each(|byte| *byte ^= KEY);
    let result = |status, data, extra| RecordResult {
        status,
        data,
        extra,
        missing: None,
    };
    match record[5] {
        0 => result(SecurityStatus::SEC_E_OK, Some(place), None),
        1 => result(SecurityStatus::SEC_I_RENEGOTIATE, None, None),
        2 => result(SecurityStatus::SEC_I_RENEGOTIATE, None, Some(place)),
        3 => result(SecurityStatus::SEC_I_CONTEXT_EXPIRED, None, None),
        _ => result(SecurityStatus::SEC_E_DECRYPT_FAILURE, None, None),
    }
}

/// Unseals in place by the walk: the end, and the buffer.
fn unseal_in_place(stream: &[u8]) -> (Unsealed, Vec<u8>) {
    let mut buffer = stream.to_vec();
    let mut walk = Unsealing::new(stream.len()).unwrap();
    loop {
        let record = match walk.next(&buffer) {
            Next::Record(record) => record,
            Next::End(end) => return (end, buffer),
        };
        let result = unseal_fake(&mut buffer[record.clone()]);
        let (step, end) = walk.after(&record, &result);
        if let Some(step) = step {
            shift(&mut buffer, step);
        }
        if let Some(end) = end {
            return (end, buffer);
        }
    }
}

/// The same by copying: meaning, consumed, plaintext, token.
fn unseal_plainly(sent: &[Sent], cut: usize) -> (RecordMeaning, usize, Vec<u8>, Vec<u8>) {
    let (mut consumed, mut plain) = (0, vec![]);
    for sent in sent {
        let mut record = record_of(sent);
        let visible = cut.saturating_sub(consumed).min(record.len());
        if matches!(sent, Sent::Noise) && visible > 0 {
            return (RecordMeaning::Fatal, cut, plain, vec![]);
        }
        if visible < record.len() {
            break;
        }
        consumed += record.len();
        match sent {
            Sent::Data(data) => plain.extend(data),
            Sent::Handshake(data, true) => {
                return (RecordMeaning::Renegotiate, consumed, plain, data.clone());
            }
            Sent::Handshake(_, false) => {
                let _ = unseal_fake(&mut record);
                return (RecordMeaning::Renegotiate, consumed, plain, record);
            }
            Sent::Close => return (RecordMeaning::Closed, consumed, plain, vec![]),
            Sent::Damaged | Sent::Noise => return (RecordMeaning::Fatal, cut, plain, vec![]),
        }
    }
    let meaning = if consumed == 0 {
        RecordMeaning::Incomplete
    } else {
        RecordMeaning::Data
    };
    (meaning, consumed, plain, vec![])
}

#[test]
fn plaintext_is_not_lost_to_what_follows_it() {
    for (last, meaning) in [
        (
            Sent::Handshake(vec![7; 9], true),
            RecordMeaning::Renegotiate,
        ),
        (Sent::Close, RecordMeaning::Closed),
        (Sent::Damaged, RecordMeaning::Fatal),
        (Sent::Noise, RecordMeaning::Fatal),
    ] {
        let sent = [
            Sent::Data(b"one".to_vec()),
            Sent::Data(b"two".to_vec()),
            last,
        ];
        let stream: Vec<u8> = sent.iter().flat_map(record_of).collect();
        let (end, buffer) = unseal_in_place(&stream);
        assert_eq!(
            (end.meaning, &buffer[..end.produced]),
            (meaning, &b"onetwo"[..])
        );
    }
}

#[test]
fn what_is_missing_of_the_next_record_is_told() {
    let stream = record_of(&Sent::Data(vec![1; 50]));
    let end = unseal_in_place(&stream[..20]).0;
    assert_eq!(end.meaning, RecordMeaning::Incomplete);
    assert_eq!(end.status, SecurityStatus::SEC_E_INCOMPLETE_MESSAGE);
    assert_eq!((end.consumed, end.missing), (0, stream.len() - 20));
    assert_eq!(end.leftover(20), 20..20, "nothing was touched");
    let twice = [&stream[..], &stream[..20]].concat();
    let end = unseal_in_place(&twice).0;
    assert_eq!(
        (end.meaning, end.consumed),
        (RecordMeaning::Data, stream.len())
    );
    assert_eq!(end.missing, stream.len() - 20);
    assert_eq!(unseal_in_place(&stream).0.missing, 0);
    assert_eq!(unseal_in_place(&[]).0.missing, 5);
}

#[test]
fn places_that_cannot_be_end_the_walk() {
    let stream = record_of(&Sent::Data(vec![1; 10]));
    for (data, extra, good) in [
        ((5, 11), None, true),
        ((5, 12), None, true),
        ((5, 13), None, false),
        ((usize::MAX, 2), None, false),
        ((5, 5), Some((10, 7)), true),
        ((5, 6), Some((10, 7)), false),
        ((0, 0), Some((0, 17)), false),
        ((0, 0), Some((0, 18)), false),
    ] {
        let mut walk = Unsealing::new(stream.len()).unwrap();
        let result = RecordResult {
            status: SecurityStatus::SEC_E_OK,
            data: Some(data),
            extra,
            missing: None,
        };
        let (step, end) = walk.after(&(0..stream.len()), &result);
        let meaning = end.map(|end| end.meaning);
        let expected = if good {
            None
        } else {
            Some(RecordMeaning::Fatal)
        };
        assert_eq!(
            (step.is_some(), meaning),
            (good, expected),
            "{data:?} {extra:?}"
        );
    }
}

#[test]
fn a_stream_has_its_limit() {
    assert!(Unsealing::new(MOST_STREAM).is_some());
    assert!(Unsealing::new(MOST_STREAM + 1).is_none());
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..=most)
}

fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let one = prop_oneof![
        12 => bytes(40).prop_map(Sent::Data),
        1 => (bytes(40), any::<bool>()).prop_map(|(data, told)| Sent::Handshake(data, told)),
        1 => Just(Sent::Close),
        1 => Just(Sent::Damaged),
        1 => Just(Sent::Noise),
    ];
    proptest::collection::vec(one, 0..12)
}

/// The whole table, and a code that nobody documented.
#[test]
fn every_status_ends_a_walk_as_its_row_says() {
    let stream = record_of(&Sent::Data(vec![1; 10]));
    let unknown = status::row_of(SecurityStatus(0x0009_9999));
    for row in status::TABLE.iter().chain([&unknown]) {
        let mut walk = Unsealing::new(stream.len()).unwrap();
        let result = RecordResult {
            status: row.status,
            data: Some((5, 5)),
            extra: None,
            missing: None,
        };
        match walk.after(&(0..stream.len()), &result).1 {
            None => assert_eq!(row.record, RecordMeaning::Data, "{row:?}"),
            Some(end) => assert_eq!((end.meaning, end.status), (row.record, row.status)),
        }
    }
}

proptest! {
    #[test]
    fn sealing_in_place_is_sealing_chunk_by_chunk(
        plain in bytes(400), header in 5..12_usize, trailer in 0..12_usize, maximum in 1..60_usize,
        tags in proptest::collection::vec(0..12_usize, 1..5),
    ) {
        let sizes = Sizes { header, trailer, maximum };
        let mut expected = vec![];
        for (index, chunk) in plain.chunks(maximum).enumerate() {
            expected.extend(sealed(chunk, header, tags[index % tags.len()].min(trailer)));
        }
        if plain.is_empty() {
            expected = sealed(&[], header, tags[0].min(trailer));
        }
        prop_assert_eq!(seal_in_place(&plain, sizes, &tags), expected);
    }

    #[test]
    fn the_largest_plaintext_fits_and_one_more_does_not(
        room in 0..2_000_usize, header in 1..40_usize, trailer in 0..40_usize, maximum in 1..300_usize,
    ) {
        let sizes = Sizes { header, trailer, maximum };
        let largest = SealPlan::largest(room, sizes);
        let fits = |length| SealPlan::new(length, sizes).is_some_and(|plan| plan.room() <= room);
        prop_assert!(largest == 0 || fits(largest));
        prop_assert!(!fits(largest + 1));
    }

    #[test]
    fn unsealing_in_place_is_unsealing_record_by_record(sent in sent(), cut in any::<prop::sample::Index>()) {
        let stream: Vec<u8> = sent.iter().flat_map(record_of).collect();
        for cut in [stream.len(), cut.index(stream.len() + 1)] {
            let (end, buffer) = unseal_in_place(&stream[..cut]);
            let (meaning, consumed, plain, token) = unseal_plainly(&sent, cut);
            prop_assert_eq!((end.meaning, end.consumed), (meaning, consumed));
            let result = end.produced + end.token;
            prop_assert_eq!(&buffer[..end.produced], &plain);
            prop_assert_eq!(&buffer[end.produced..result], &token);
            let wiped = end.leftover(cut);
            prop_assert!(wiped.start >= result || end.meaning == RecordMeaning::Incomplete);
            prop_assert_eq!(wiped.end, cut);
        }
    }

    /// Whatever ksecdd says, the walk ends, and moves nothing out of the stream or over what is unread.
    #[test]
    fn a_walk_ends_whatever_ksecdd_says(
        answers in proptest::collection::vec((
            any::<prop::sample::Index>(), proptest::option::of((0..30_usize, 0..30_usize)),
            proptest::option::of((0..30_usize, 0..30_usize)), any::<bool>()), 1..20),
    ) {
        let stream: Vec<u8> = (0..10).flat_map(|_| record_of(&Sent::Data(vec![5; 10]))).collect();
        let mut walk = Unsealing::new(stream.len()).unwrap();
        for (status, data, extra, fine) in answers.iter().cycle().take(20 * stream.len()) {
            let record = match walk.next(&stream) {
                Next::Record(record) => record,
                Next::End(end) => {
                    prop_assert!(end.produced + end.token <= end.consumed && end.consumed <= stream.len());
                    return Ok(());
                }
            };
            let status = if *fine { SecurityStatus::SEC_E_OK } else { status.get(SecurityStatus::NAMED).1 };
            let (step, end) = walk.after(&record, &RecordResult { status, data: *data, extra: *extra, missing: None });
            if let Some(step) = step {
                prop_assert!(step.from >= record.start && step.from + step.length <= record.end);
                prop_assert!(step.to <= step.from);
            }
            if let Some(end) = end {
                prop_assert!(end.produced + end.token <= end.consumed && end.consumed <= stream.len());
                return Ok(());
            }
        }
        prop_assert!(false, "it goes on for ever");
    }
}
