//! What each result of a call leads to.

use super::*;
use proptest::prelude::*;
use std::vec;

/// Two whole records of one byte each.
const TWO: &[u8] = &[22, 3, 3, 0, 1, 9, 22, 3, 3, 0, 1, 9];

fn result(status: SecurityStatus, produced: usize, extra: Option<usize>) -> CallResult {
    CallResult {
        status,
        produced,
        extra,
        missing: None,
        alert: None,
    }
}

/// An outcome of which nothing else is told.
fn bare(status: SecurityStatus) -> Outcome {
    Outcome {
        status,
        consumed: 0,
        produced: 0,
        missing: 0,
        alert: None,
        becomes: None,
    }
}

const ALERT: Alert = Alert {
    level: 2,
    description: 40,
};

#[test]
fn continue_without_output_goes_on_with_the_rest() {
    let needed = SecurityStatus::SEC_I_CONTINUE_NEEDED;
    let mut leg = Leg::new();
    assert_eq!(leg.after(TWO, &result(needed, 0, Some(6))), Step::Again);
    assert_eq!(leg.range(TWO.len()), 6..12);
    let second = CallResult {
        alert: Some(ALERT),
        ..result(needed, 40, None)
    };
    let whole = Outcome {
        consumed: 12,
        produced: 40,
        alert: Some(ALERT),
        ..bare(needed)
    };
    assert_eq!(leg.after(TWO, &second), Step::Reply(whole));
}

#[test]
fn the_rest_is_left_to_the_caller_while_its_record_is_not_whole_or_there_is_a_token() {
    for (input, produced) in [(&TWO[..11], 0), (TWO, 1)] {
        let extra = input.len() - 6;
        let needed = SecurityStatus::SEC_I_CONTINUE_NEEDED;
        let step = Leg::new().after(input, &result(needed, produced, Some(extra)));
        let first = Outcome {
            consumed: 6,
            produced,
            ..bare(needed)
        };
        assert_eq!(step, Step::Reply(first));
    }
}

#[test]
fn a_call_that_makes_no_progress_is_not_repeated() {
    let needed = SecurityStatus::SEC_I_CONTINUE_NEEDED;
    let mut leg = Leg::new();
    let step = leg.after(TWO, &result(needed, 0, Some(TWO.len())));
    assert_eq!(step, Step::Reply(bare(needed)));
    // Nor is one behind the first.
    let mut leg = Leg::new();
    assert_eq!(leg.after(TWO, &result(needed, 0, Some(6))), Step::Again);
    let first = Outcome {
        consumed: 6,
        ..bare(needed)
    };
    assert_eq!(
        leg.after(TWO, &result(needed, 0, Some(6))),
        Step::Reply(first)
    );
}

#[test]
fn an_incomplete_message_consumes_nothing_of_its_own() {
    let wanting = CallResult {
        missing: Some(7),
        ..result(SecurityStatus::SEC_E_INCOMPLETE_MESSAGE, 9, Some(3))
    };
    let nothing = Outcome {
        missing: 7,
        ..bare(SecurityStatus::SEC_E_INCOMPLETE_MESSAGE)
    };
    assert_eq!(Leg::new().after(TWO, &wanting), Step::Reply(nothing));
    // What an earlier call of the leg used up is used up.
    let mut leg = Leg::new();
    let needed = result(SecurityStatus::SEC_I_CONTINUE_NEEDED, 0, Some(6));
    assert_eq!(leg.after(TWO, &needed), Step::Again);
    let first = Outcome {
        consumed: 6,
        ..nothing
    };
    assert_eq!(leg.after(TWO, &wanting), Step::Reply(first));
}

#[test]
fn a_leg_is_called_as_often_as_may_be_and_no_more() {
    let input = [22, 3, 3, 0, 1, 9].repeat(40);
    let needed = SecurityStatus::SEC_I_CONTINUE_NEEDED;
    let mut leg = Leg::new();
    let mut calls = 1;
    let end = loop {
        match leg.after(&input, &result(needed, 0, Some(input.len() - calls * 6))) {
            Step::Again => calls += 1,
            Step::Reply(outcome) => break outcome,
        }
    };
    assert_eq!((calls, end.consumed), (32, 32 * 6));
}

/// The reply is cut by these numbers: neither may be more than there is.
#[test]
fn what_ksecdd_says_of_its_buffers_must_fit_them() {
    let lie = Step::Reply(Outcome::failed(SecurityStatus::SEC_E_INTERNAL_ERROR));
    let whole = Leg::new().capacity();
    for status in [
        SecurityStatus::SEC_I_CONTINUE_NEEDED,
        SecurityStatus::SEC_E_OK,
    ] {
        let after = |produced, extra| Leg::new().after(TWO, &result(status, produced, extra));
        assert_eq!(after(1, Some(TWO.len() + 1)), lie);
        assert_eq!(after(whole + 1, None), lie);
        for (produced, extra) in [(1, TWO.len()), (whole, 0)] {
            let Step::Reply(outcome) = after(produced, Some(extra)) else {
                panic!("no reply");
            };
            assert_eq!(outcome.status, status);
            assert_eq!(outcome.produced, produced);
            assert_eq!(outcome.consumed, TWO.len() - extra);
        }
    }
    // Of a part of the input.
    let mut leg = Leg::new();
    let needed = SecurityStatus::SEC_I_CONTINUE_NEEDED;
    assert_eq!(leg.after(TWO, &result(needed, 0, Some(6))), Step::Again);
    assert_eq!(leg.after(TWO, &result(needed, 0, Some(7))), lie);
}

#[test]
fn output_grows_to_the_largest_token_and_no_further() {
    let mut leg = Leg::new();
    let small = result(SecurityStatus::SEC_E_BUFFER_TOO_SMALL, 0, None);
    let mut sizes = vec![leg.capacity()];
    while leg.after(TWO, &small) == Step::Again {
        sizes.push(leg.capacity());
        assert_eq!(
            leg.range(TWO.len()),
            0..TWO.len(),
            "the input is to be given whole again"
        );
    }
    assert_eq!(sizes, [8192, 16_384, MAX_TOKEN]);
    assert_eq!(
        leg.after(TWO, &small),
        Step::Reply(Outcome::failed(SecurityStatus::SEC_E_BUFFER_TOO_SMALL))
    );
}

#[test]
fn success_keeps_the_token_and_leaves_application_data() {
    let done = CallResult {
        alert: Some(ALERT),
        missing: Some(3),
        ..result(SecurityStatus::SEC_E_OK, 99, Some(6))
    };
    let established = Outcome {
        consumed: 6,
        produced: 99,
        alert: Some(ALERT),
        becomes: Some(Phase::Established),
        ..bare(SecurityStatus::SEC_E_OK)
    };
    assert_eq!(Leg::new().after(TWO, &done), Step::Reply(established));
}

#[test]
fn a_fatal_status_keeps_token_and_alert_uses_all_up_and_fails_the_session() {
    let fatal = CallResult {
        alert: Some(ALERT),
        missing: Some(3),
        ..result(SecurityStatus::SEC_E_ALGORITHM_MISMATCH, 7, None)
    };
    let failed = Outcome {
        consumed: TWO.len(),
        produced: 7,
        alert: Some(ALERT),
        becomes: Some(Phase::Failed),
        ..bare(SecurityStatus::SEC_E_ALGORITHM_MISMATCH)
    };
    assert_eq!(Leg::new().after(TWO, &fatal), Step::Reply(failed));
}

#[test]
fn a_failed_call_that_left_the_buffer_alone_has_no_token() {
    let whole = Leg::new().capacity();
    for (length, produced) in [(whole - 1, whole - 1), (whole, 0), (whole + 1, 0)] {
        let fatal = result(SecurityStatus::SEC_E_INTERNAL_ERROR, length, None);
        let Step::Reply(outcome) = Leg::new().after(TWO, &fatal) else {
            panic!("no reply");
        };
        assert_eq!(outcome.produced, produced);
    }
}

#[test]
fn plain_text_is_refused_without_a_call() {
    let Admission::Refuse(outcome, alert) = admit(b"GET / HTTP/1.1", Place::First) else {
        panic!("HTTP was let in");
    };
    let refused = Outcome {
        consumed: 14,
        alert: Some(alert),
        becomes: Some(Phase::Failed),
        ..bare(Alert::REFUSAL)
    };
    assert_eq!(outcome, refused);
    let wanting = Outcome {
        missing: 2,
        ..bare(SecurityStatus::SEC_E_INCOMPLETE_MESSAGE)
    };
    assert_eq!(admit(&TWO[..3], Place::First), Admission::Wait(wanting));
    assert_eq!(admit(TWO, Place::First), Admission::Call);
}

/// The whole table, and a code that nobody documented.
#[test]
fn every_status_ends_a_leg_as_its_row_says() {
    let unknown = status::row_of(SecurityStatus(0x0009_9999));
    for row in status::TABLE.iter().chain([&unknown]) {
        let step = Leg::new().after(TWO, &result(row.status, 5, None));
        match step {
            Step::Again => assert_eq!(row.leg, Meaning::Grow, "{row:?}"),
            Step::Reply(outcome) => {
                assert_eq!(outcome.becomes, row.leg_becomes, "{row:?}");
                assert_eq!(outcome.status, row.status, "{row:?}");
            }
        }
    }
}

proptest! {
    /// Whatever ksecdd says, a leg ends, and its reply stays within its buffers.
    #[test]
    fn a_leg_ends_whatever_ksecdd_says(
        answers in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..40_000, proptest::option::of(0_usize..20)), 64),
    ) {
        let mut leg = Leg::new();
        let mut ended = false;
        for (index, produced, extra) in answers {
            let (_, status) = index.get(SecurityStatus::NAMED);
            let capacity = leg.capacity();
            match leg.after(TWO, &result(*status, produced, extra)) {
                Step::Again => prop_assert!(leg.capacity() <= MAX_TOKEN),
                Step::Reply(outcome) => {
                    prop_assert!(outcome.consumed <= TWO.len() && outcome.produced <= capacity);
                    ended = true;
                    break;
                }
            }
        }
        prop_assert!(ended);
    }
}
