//! A leg that gets any results, true or not: it ends, never says more than there is, and says of the session
//! what the status means.

use arbitrary::{Arbitrary, Unstructured};
use tlsgate_core::{
    leg::{CallResult, Leg, Outcome, Step},
    record::Alert,
    session::Phase,
    status::{Meaning, TABLE, row_of},
};
use tlsgate_protocol::{SecurityStatus, limits::MAX_TOKEN};

/// No leg takes more calls, those that only grow its output included.
const MOST_CALLS: usize = 32 + 8;

#[derive(Arbitrary, Debug)]
struct Result {
    status: Status,
    produced: Number,
    extra: Option<Extra>,
    missing: Option<Number>,
    alert: Option<(u8, u8)>,
}

#[derive(Arbitrary, Debug)]
enum Status {
    Known(u8),
    Continue,
    TooSmall,
    Any(i32),
}

#[derive(Arbitrary, Debug)]
enum Extra {
    Some(Number),
    /// So many bytes more, or less, than were given.
    OfGiven(i8),
}

#[derive(Arbitrary, Debug)]
enum Number {
    None,
    Small(u8),
    Medium(u16),
    Any(usize),
}

impl Number {
    fn value(&self) -> usize {
        match *self {
            Self::None => 0,
            Self::Small(value) => value.into(),
            Self::Medium(value) => value.into(),
            Self::Any(value) => value,
        }
    }
}

impl Result {
    /// For a call that got so many bytes.
    fn real(&self, given: usize) -> CallResult {
        let status = match self.status {
            Status::Known(index) => TABLE[usize::from(index) % TABLE.len()].status,
            Status::Continue => SecurityStatus::SEC_I_CONTINUE_NEEDED,
            Status::TooSmall => SecurityStatus::SEC_E_BUFFER_TOO_SMALL,
            Status::Any(status) => SecurityStatus(status),
        };
        CallResult {
            status,
            produced: self.produced.value(),
            extra: self.extra.as_ref().map(|extra| match extra {
                Extra::Some(number) => number.value(),
                Extra::OfGiven(more) => given.saturating_add_signed((more % 4).into()),
            }),
            missing: self.missing.as_ref().map(Number::value),
            alert: self
                .alert
                .map(|(level, description)| Alert { level, description }),
        }
    }
}

/// Runs it.
pub fn run(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    // Whole records of one byte each, and then what is no whole record.
    let records = usize::from(bytes.arbitrary::<u8>().unwrap_or(0));
    let tail = usize::from(bytes.arbitrary::<u8>().unwrap_or(0) % 8);
    let input = [[22, 3, 3, 0, 1, 7].repeat(records), vec![23; tail]].concat();
    let mut leg = Leg::new();
    for call in 1.. {
        assert!(call <= MOST_CALLS, "the leg does not end");
        let (range, capacity) = (leg.range(input.len()), leg.capacity());
        assert!(range.end == input.len() && range.start <= range.end);
        assert!((1..=MAX_TOKEN).contains(&capacity));
        let Ok(result) = bytes.arbitrary::<Result>() else {
            return;
        };
        let result = result.real(range.len());
        match leg.after(&input, &result) {
            Step::Again => {
                let grown = leg.capacity() > capacity;
                let consumed = leg.range(input.len()).start > range.start;
                assert!(grown != consumed, "nothing has changed, or both");
                assert_eq!(
                    grown,
                    result.status == SecurityStatus::SEC_E_BUFFER_TOO_SMALL
                );
                // Output that is there must be sent before anything else happens.
                assert!(grown || result.produced == 0);
            }
            Step::Reply(outcome) => {
                check(&outcome, &result, &input, range.start, capacity);
                return;
            }
        }
    }
}

fn check(outcome: &Outcome, result: &CallResult, input: &[u8], before: usize, capacity: usize) {
    assert!(outcome.consumed <= input.len());
    assert!(outcome.produced <= capacity);
    let extra = result.extra.unwrap_or(0);
    let meaning = row_of(result.status).leg;
    let has_output = matches!(meaning, Meaning::Continue | Meaning::Done);
    let is_a_lie = extra > input.len() - before || has_output && result.produced > capacity;
    if is_a_lie {
        assert_eq!(outcome.status, SecurityStatus::SEC_E_INTERNAL_ERROR);
        assert_eq!(
            (outcome.becomes, outcome.produced),
            (Some(Phase::Failed), 0)
        );
        return;
    }
    assert_eq!(outcome.status, result.status);
    let becomes = match meaning {
        Meaning::Done => Some(Phase::Established),
        Meaning::Fatal | Meaning::Grow => Some(Phase::Failed),
        Meaning::Continue | Meaning::Incomplete => None,
    };
    assert_eq!(outcome.becomes, becomes);
    match meaning {
        Meaning::Done | Meaning::Continue => {
            assert_eq!(outcome.consumed, input.len() - extra);
            assert_eq!(outcome.produced, result.produced);
        }
        Meaning::Incomplete => {
            assert_eq!((outcome.consumed, outcome.produced), (before, 0));
            assert_eq!(outcome.missing, result.missing.unwrap_or(0));
        }
        Meaning::Grow => assert!(capacity > MAX_TOKEN / 2 && outcome.produced == 0),
        Meaning::Fatal => assert!([0, result.produced].contains(&outcome.produced)),
    }
}
