//! SEAL in place, played through on a real buffer: the records hold the plaintext, in order, without a hole;
//! nothing lies outside the room; and what is not delivered is wiped.

use arbitrary::{Arbitrary, Unstructured};
use tlsgate_core::{
    records::Move,
    sealing::{SealPlan, Sealing},
};
use tlsgate_protocol::{
    SecurityStatus,
    limits::{MAX_RECORDS, sealed_room},
    payload::outcome,
};

/// Most records that are played through.
const MOST_RECORDS: usize = 64;

/// Stands in front of the plaintext.
const GAP: u8 = 0xF0;

/// Stands in front of a record and behind it, where the plan has left room for it.
const HEADER: u8 = 0xA0;
const TRAILER: u8 = 0xE0;

/// The stream sizes of a session, and a plaintext.
#[derive(Arbitrary, Debug)]
struct Sizes {
    plaintext: u16,
    header: u8,
    trailer: u8,
    maximum: u16,
    /// Where the plaintext begins.
    offset: u8,
    /// Numbers that no session has.
    wild: Option<(usize, usize, usize, usize)>,
}

/// What Schannel makes of one record.
#[derive(Arbitrary, Debug)]
enum Seal {
    /// As long as it may be.
    Whole,
    /// The trailer so much shorter.
    Shorter(u8),
    /// It says that the record is longer than its room.
    Longer(u8),
    Status(i32),
    Expired,
}

/// Runs it.
pub fn run(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let Ok(sizes) = bytes.arbitrary::<Sizes>() else {
        return;
    };
    let (plaintext, header, trailer, maximum) = sizes.wild.unwrap_or((
        sizes.plaintext.into(),
        sizes.header.into(),
        sizes.trailer.into(),
        sizes.maximum.into(),
    ));
    let room = room_of(plaintext, header, trailer, maximum);
    assert_eq!(sealed_room(plaintext, header, trailer, maximum), room);
    let plan = SealPlan::new(plaintext, header, trailer, maximum);
    assert_eq!(plan.map(|plan| plan.room()), room);
    let plan = plan.and_then(|plan| {
        let behind = plan.beginning_at(sizes.offset.into());
        assert_eq!(behind.is_some(), usize::from(sizes.offset) <= header);
        behind
    });
    // The driver refuses a larger plaintext, and a larger room than there is. More records than these show
    // nothing new.
    if let Some(plan) = plan
        && plaintext <= MAX_RECORDS
        && plan.room() <= 2 * MAX_RECORDS
        && plaintext.div_ceil(maximum) <= MOST_RECORDS
    {
        Play::begin(plan, plaintext, sizes.offset.into()).run(&mut bytes);
    }
}

/// In numbers that do not end.
fn room_of(plaintext: usize, header: usize, trailer: usize, maximum: usize) -> Option<usize> {
    let [plaintext, header, trailer, maximum] =
        [plaintext, header, trailer, maximum].map(|size| size as u128);
    let records = plaintext.max(1).checked_add(maximum.checked_sub(1)?)? / maximum;
    let room = plaintext + records.checked_mul(header + trailer)?;
    // What the plan cannot say on its way it refuses, however small the room would be.
    let word = |size: u128| usize::try_from(size).is_ok();
    (word(plaintext + maximum) && word(header + trailer) && word(room)).then_some(room as usize)
}

/// A SEAL as the driver plays it.
struct Play {
    plan: SealPlan,
    sealing: Sealing,
    plaintext: Vec<u8>,
    buffer: Vec<u8>,
    /// What is to be sent.
    due: Vec<u8>,
    /// Bytes of plaintext in it.
    consumed: usize,
}

impl Play {
    fn begin(plan: SealPlan, plaintext: usize, offset: usize) -> Self {
        let plaintext: Vec<u8> = (0..=150).cycle().take(plaintext).collect();
        let mut buffer = [vec![GAP; offset], plaintext.clone()].concat();
        buffer.resize(plan.room(), 0);
        for step in plan.spread() {
            perform(&mut buffer, step);
        }
        Self {
            plan,
            sealing: Sealing::new(plan),
            plaintext,
            buffer,
            due: Vec::new(),
            consumed: 0,
        }
    }

    fn run(mut self, bytes: &mut Unstructured<'_>) {
        while let Some(parts) = self.sealing.next() {
            assert!(parts.start + parts.room() <= self.plan.room());
            let data = parts.start + parts.header;
            let end = (self.consumed + parts.data).min(self.plaintext.len());
            let chunk = &self.plaintext[self.consumed..end];
            assert_eq!(
                &self.buffer[data..data + parts.data],
                chunk,
                "the plaintext"
            );
            let seal = bytes.arbitrary().unwrap_or(Seal::Whole);
            let (status, length) = match seal {
                Seal::Whole => (0, parts.room()),
                Seal::Shorter(by) => (0, parts.room() - parts.trailer.min(by.into())),
                Seal::Longer(by) => (0, parts.room() + 1 + usize::from(by)),
                Seal::Status(status) => (status, parts.room()),
                Seal::Expired => (SecurityStatus::SEC_E_CONTEXT_EXPIRED.0, 0),
            };
            self.buffer[parts.start..data].fill(HEADER);
            self.buffer[data + parts.data..parts.start + parts.room()].fill(TRAILER);
            let good = status == 0 && length <= parts.room();
            if good {
                let record = self.buffer[parts.start..parts.start + length].to_vec();
                self.due.extend(record);
                self.consumed = end;
            }
            match self.sealing.sealed(SecurityStatus(status), length) {
                Some(step) if good => perform(&mut self.buffer, step),
                step => assert!(step.is_none() && !good, "{step:?}, {status:#x}"),
            }
            if !good {
                self.ends_with(status);
                return;
            }
        }
        assert_eq!(self.consumed, self.plaintext.len());
        let summary = self.sealing.summary();
        assert_eq!(
            (summary.status.0, summary.outcome),
            (0, outcome::DATA),
            "all of it"
        );
        self.check();
    }

    fn ends_with(&self, status: i32) {
        assert_eq!(self.sealing.next(), None);
        let summary = self.sealing.summary();
        let expired = SecurityStatus::SEC_E_CONTEXT_EXPIRED;
        if status == expired.0 {
            assert_eq!(
                (summary.status, summary.outcome),
                (expired, outcome::RENEGOTIATE)
            );
        } else {
            assert_eq!(summary.outcome, outcome::FAILED);
            assert_ne!(summary.status, SecurityStatus::SEC_E_OK);
        }
        self.check();
    }

    /// What is sent, what is told, and what is wiped.
    fn check(&self) {
        let summary = self.sealing.summary();
        assert_eq!(summary.consumed, self.consumed);
        assert_eq!(summary.produced, self.due.len());
        assert_eq!(self.buffer[..summary.produced], self.due);
        assert_eq!(summary.wipe, summary.produced..self.buffer.len());
    }
}

fn perform(buffer: &mut [u8], step: Move) {
    buffer.copy_within(step.from..step.from + step.length, step.to);
}
