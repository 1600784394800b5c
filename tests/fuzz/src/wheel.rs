//! The timing wheel against a list: nothing comes early, nothing late by more than a tick, nothing twice, and
//! nothing that was removed.

use crate::steps;
use arbitrary::{Arbitrary, Unstructured};
use tlsgate_core::wheel::{Expired, Key, TICK, Wheel};

/// More looks than any wheel here may want until it says that nothing is due.
const MOST_LOOKS: usize = 10_000;

#[derive(Arbitrary, Debug)]
enum Step {
    Reserve,
    Unreserve,
    /// Due so long from now, or ago.
    Insert(Span, bool),
    /// One that was put in, now or once.
    Remove(u8),
    /// Any key.
    RemoveRaw(u64),
    /// Time passes, and all that is due is taken.
    Pass(Span),
    /// Time passes, and one look is made.
    Glance(Span),
}

/// A time, in units of 100 ns.
#[derive(Arbitrary, Debug)]
enum Span {
    Units(u16),
    /// Ticks, give or take a unit.
    Ticks(u16, i8),
    Any(u64),
}

impl Span {
    fn units(&self) -> u64 {
        match *self {
            Self::Units(units) => units.into(),
            Self::Ticks(ticks, more) => {
                (u64::from(ticks) * TICK).saturating_add_signed(more.into())
            }
            // Centuries at most: the clock does not overflow.
            Self::Any(units) => units >> 8,
        }
    }
}

struct Entry {
    key: Key,
    due: u64,
    is_in: bool,
}

struct Model {
    entries: Vec<Entry>,
    reserved: usize,
    now: u64,
}

impl Model {
    fn length(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_in).count()
    }
}

/// Runs it.
pub fn run(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let mut wheel = Wheel::new();
    let mut model = Model {
        entries: Vec::new(),
        reserved: 0,
        now: bytes.arbitrary::<u64>().unwrap_or(0) >> 8,
    };
    steps(&mut bytes, |step| {
        perform(&step, &mut wheel, &mut model);
        assert_eq!(wheel.len(), model.length(), "{step:?}");
        assert_eq!(wheel.is_empty(), model.length() == 0, "{step:?}");
    });
    // In the end all of them come.
    model.now = u64::MAX >> 1;
    take_due(&mut wheel, &mut model, MOST_LOOKS);
    assert!(wheel.is_empty());
}

fn perform(step: &Step, wheel: &mut Wheel<usize>, model: &mut Model) {
    match step {
        Step::Reserve => {
            assert_eq!(wheel.reserve(), Ok(()));
            model.reserved += 1;
        }
        Step::Unreserve if model.reserved > model.length() => {
            wheel.unreserve();
            model.reserved -= 1;
        }
        Step::Unreserve => {}
        Step::Insert(span, overdue) => {
            let due = if *overdue {
                model.now.saturating_sub(span.units())
            } else {
                model.now.saturating_add(span.units())
            };
            let number = model.entries.len();
            match wheel.insert(due, number) {
                Ok(key) => {
                    assert!(model.length() < model.reserved, "there was no room");
                    assert_eq!(Key::from_raw(key.raw()), Some(key));
                    assert!(model.entries.iter().all(|entry| entry.key != key));
                    let is_in = true;
                    model.entries.push(Entry { key, due, is_in });
                }
                Err(value) => {
                    assert_eq!(value, number);
                    assert!(model.length() >= model.reserved, "there was room");
                }
            }
        }
        Step::Remove(choice) => {
            let index = usize::from(*choice).checked_rem(model.entries.len());
            if let Some(number) = index {
                let entry = &mut model.entries[number];
                let due = entry.is_in.then_some(number);
                assert_eq!(wheel.remove(entry.key), due);
                entry.is_in = false;
            }
        }
        Step::RemoveRaw(raw) => {
            let Some(key) = Key::from_raw(*raw) else {
                return;
            };
            let named = |entry: &Entry| entry.is_in && entry.key == key;
            let due = model.entries.iter().position(named);
            assert_eq!(wheel.remove(key), due);
            if let Some(number) = due {
                model.entries[number].is_in = false;
            }
        }
        Step::Pass(span) => {
            model.now = model.now.saturating_add(span.units()).min(u64::MAX >> 2);
            take_due(wheel, model, MOST_LOOKS);
        }
        Step::Glance(span) => {
            model.now = model.now.saturating_add(span.units()).min(u64::MAX >> 2);
            take_due(wheel, model, 1);
        }
    }
}

/// Looks at most so often; when nothing more is due, nothing may be late.
fn take_due(wheel: &mut Wheel<usize>, model: &mut Model, looks: usize) {
    for _ in 0..looks {
        match wheel.expired(model.now) {
            Expired::One(number) => {
                let entry = &mut model.entries[number];
                assert!(entry.is_in, "it was taken before");
                assert!(entry.due <= model.now, "it comes early");
                entry.is_in = false;
            }
            Expired::More => {}
            Expired::Nothing => {
                let late = |entry: &Entry| entry.is_in && entry.due + TICK <= model.now;
                assert!(!model.entries.iter().any(late), "one is late");
                return;
            }
        }
    }
    assert!(looks < MOST_LOOKS, "the wheel does not come to an end");
}
