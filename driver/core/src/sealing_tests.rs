//! SEAL of many records against a record layer that anyone can check by eye.

use super::*;
use proptest::prelude::*;
use std::{vec, vec::Vec};

/// What the fake record layer puts in front of the data and, several times, behind it.
const HEAD: u8 = 0xAA;
const TAIL: u8 = 0xBB;
/// What it does to the data.
const KEY: u8 = 0x55;
/// What was in the buffer before.
const STALE: u8 = 0xEE;

/// A record layer as the rim drives Schannel: its records may be shorter than their room, and it may
/// refuse one.
struct Fake {
    /// Bytes of trailer that record number n leaves out: `n % (shorter + 1)`.
    shorter: usize,
    refuse: Option<(usize, SecurityStatus)>,
}

impl Fake {
    fn seal(&self, number: usize, parts: Parts, buffer: &mut [u8]) -> (SecurityStatus, usize) {
        if let Some((_, status)) = self.refuse.filter(|(at, _)| *at == number) {
            return (status, 0);
        }
        let record = &mut buffer[parts.start..][..parts.room()];
        let (header, rest) = record.split_at_mut(parts.header);
        let (data, trailer) = rest.split_at_mut(parts.data);
        header.fill(HEAD);
        for byte in data {
            *byte ^= KEY;
        }
        trailer.fill(TAIL);
        let left_out = (number % (self.shorter + 1)).min(parts.trailer);
        (SecurityStatus::SEC_E_OK, parts.room() - left_out)
    }

    /// What so many records look like that are made one by one, each in a buffer of its own.
    fn one_by_one(&self, plaintext: &[u8], sizes: Sizes, records: usize) -> Vec<u8> {
        let mut stream = Vec::new();
        for number in 0..records {
            let chunk = plaintext
                .iter()
                .skip(number * sizes.maximum)
                .take(sizes.maximum);
            let left_out = (number % (self.shorter + 1)).min(sizes.trailer);
            stream.extend([HEAD].repeat(sizes.header));
            stream.extend(chunk.map(|byte| byte ^ KEY));
            stream.extend([TAIL].repeat(sizes.trailer - left_out));
        }
        stream
    }
}

#[derive(Clone, Copy, Debug)]
struct Sizes {
    header: usize,
    trailer: usize,
    maximum: usize,
}

/// SEAL as the rim does it. The buffer has exactly the room that the plan asks for.
fn seal(plaintext: &[u8], sizes: Sizes, fake: &Fake) -> (Summary, Vec<u8>) {
    seal_behind(0, plaintext, sizes, fake)
}

/// The same of a plaintext that begins so many bytes from the front.
fn seal_behind(offset: usize, plaintext: &[u8], sizes: Sizes, fake: &Fake) -> (Summary, Vec<u8>) {
    let plan = SealPlan::new(plaintext.len(), sizes.header, sizes.trailer, sizes.maximum).unwrap();
    let plan = plan.beginning_at(offset).unwrap();
    let mut buffer = [&[STALE].repeat(offset), plaintext].concat();
    buffer.resize(plan.room(), STALE);
    for step in plan.spread() {
        buffer.copy_within(step.from..step.from + step.length, step.to);
    }
    let mut sealing = Sealing::new(plan);
    let mut number = 0;
    while let Some(parts) = sealing.next() {
        let (status, length) = fake.seal(number, parts, &mut buffer);
        if let Some(step) = sealing.sealed(status, length) {
            buffer.copy_within(step.from..step.from + step.length, step.to);
        }
        number += 1;
    }
    let summary = sealing.summary();
    buffer[summary.wipe.clone()].fill(0);
    (summary, buffer)
}

const SIZES: Sizes = Sizes {
    header: 5,
    trailer: 17,
    maximum: 10,
};
const WILLING: Fake = Fake {
    shorter: 0,
    refuse: None,
};

#[test]
fn no_plaintext_makes_one_empty_record() {
    let (summary, buffer) = seal(&[], SIZES, &WILLING);
    assert_eq!(summary.produced, 22);
    assert_eq!(summary.outcome, outcome::DATA);
    assert_eq!(buffer, WILLING.one_by_one(&[], SIZES, 1));
}

#[test]
fn a_full_record_has_no_empty_one_behind_it() {
    for (length, records) in [(1, 1), (9, 1), (10, 1), (11, 2), (20, 2), (21, 3)] {
        let (summary, _) = seal(&vec![1; length], SIZES, &WILLING);
        assert_eq!(summary.produced, length + 22 * records, "{length}");
        assert_eq!(summary.consumed, length);
    }
}

#[test]
fn sizes_that_make_no_sense_have_no_plan() {
    assert!(SealPlan::new(1, 5, 17, 0).is_none());
    assert!(SealPlan::new(usize::MAX, 5, 17, 16_384).is_none());
    assert!(SealPlan::new(1, usize::MAX, 1, 16_384).is_none());
}

#[test]
fn what_lies_where_its_record_has_it_is_not_moved() {
    let moves = |plaintext, offset| {
        let plan = SealPlan::new(plaintext, 5, 17, 10).and_then(|plan| plan.beginning_at(offset));
        let moved = |step: &Move| step.from != step.to;
        plan.map(|plan| plan.spread().filter(moved).count())
    };
    assert_eq!(moves(10, 0), Some(1));
    assert_eq!(moves(10, 4), Some(1));
    assert_eq!(moves(10, 5), Some(0));
    assert_eq!(moves(35, 5), Some(3));
    assert_eq!(moves(10, 6), None, "behind its place");
}

#[test]
fn a_refusal_in_the_middle_delivers_what_was_sealed_before() {
    let fake = Fake {
        refuse: Some((2, SecurityStatus::SEC_E_INTERNAL_ERROR)),
        ..WILLING
    };
    let (summary, buffer) = seal(&[7; 35], SIZES, &fake);
    assert_eq!(summary.status, SecurityStatus::SEC_E_INTERNAL_ERROR);
    assert_eq!(summary.outcome, outcome::FAILED);
    assert_eq!((summary.consumed, summary.produced), (20, 64));
    assert_eq!(buffer[..64], fake.one_by_one(&[7; 35], SIZES, 2));
    assert!(buffer[64..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_context_that_waits_for_a_leg_leaves_no_hole() {
    let fake = Fake {
        refuse: Some((1, SecurityStatus::SEC_E_CONTEXT_EXPIRED)),
        ..WILLING
    };
    let (summary, _) = seal(&[7; 35], SIZES, &fake);
    assert_eq!(summary.outcome, outcome::RENEGOTIATE);
    assert_eq!(
        (summary.consumed, summary.produced, summary.token),
        (10, 32, 0)
    );
}

#[test]
fn a_record_longer_than_its_room_is_not_sent() {
    let plan = SealPlan::new(10, 5, 17, 10).unwrap();
    let mut sealing = Sealing::new(plan);
    assert_eq!(sealing.sealed(SecurityStatus::SEC_E_OK, 33), None);
    assert_eq!(sealing.next(), None);
    let summary = sealing.summary();
    assert_eq!(summary.status, SecurityStatus::SEC_E_INTERNAL_ERROR);
    assert_eq!((summary.outcome, summary.produced), (outcome::FAILED, 0));
    assert_eq!(summary.wipe, 0..32);
}

#[test]
fn a_call_of_the_largest_plaintext_takes_the_room_that_the_protocol_tells() {
    let plan = SealPlan::new(limits::MAX_RECORDS, 5, 17, limits::MAX_PLAINTEXT).unwrap();
    assert_eq!(plan.room(), 1024 * 1024 + 64 * 22);
    assert_eq!(plan.spread().count(), 64);
}

proptest! {
    #[test]
    fn records_made_in_one_buffer_are_those_made_one_by_one(
        plaintext in proptest::collection::vec(any::<u8>(), 0..300),
        header in 0_usize..20,
        trailer in 0_usize..40,
        maximum in 1_usize..50,
        shorter in 0_usize..8,
        refuse in proptest::option::of(0_usize..12),
        offset in 0_usize..20,
    ) {
        let sizes = Sizes { header, trailer, maximum };
        let status = SecurityStatus::SEC_E_ILLEGAL_MESSAGE;
        let fake = Fake { shorter, refuse: refuse.map(|at| (at, status)) };
        let all = plaintext.len().div_ceil(maximum).max(1);
        let made = refuse.map_or(all, |at| at.min(all));
        let offset = offset.min(header);
        let (summary, buffer) = seal_behind(offset, &plaintext, sizes, &fake);
        let expected = fake.one_by_one(&plaintext, sizes, made);
        prop_assert_eq!(summary.produced, expected.len());
        prop_assert_eq!(&buffer[..summary.produced], &expected[..]);
        prop_assert_eq!(summary.consumed, (made * maximum).min(plaintext.len()));
        prop_assert_eq!(summary.outcome == outcome::DATA, made == all);
        prop_assert_eq!(summary.outcome == outcome::FAILED, made < all);
        // Neither plaintext nor anything else is left behind what is delivered.
        prop_assert!(buffer[summary.produced..].iter().all(|&byte| byte == 0));
    }
}
