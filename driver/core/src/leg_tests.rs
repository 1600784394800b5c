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

#[test]
fn continue_without_output_goes_on_with_the_rest() {
    let mut leg = Leg::new();
    let step = leg.after(
        TWO,
        &result(SecurityStatus::SEC_I_CONTINUE_NEEDED, 0, Some(6)),
    );
    assert_eq!(step, Step::Again);
    assert_eq!(leg.range(TWO.len()), 6..12);
    let Step::Reply(outcome) = leg.after(
        TWO,
        &result(SecurityStatus::SEC_I_CONTINUE_NEEDED, 40, None),
    ) else {
        panic!("no reply");
    };
    assert_eq!(
        (outcome.consumed, outcome.produced, outcome.becomes),
        (12, 40, None)
    );
}

#[test]
fn the_rest_is_left_to_the_caller_while_its_record_is_not_whole_or_there_is_a_token() {
    for (input, produced) in [(&TWO[..11], 0), (TWO, 1)] {
        let mut leg = Leg::new();
        let extra = input.len() - 6;
        let step = leg.after(
            input,
            &result(SecurityStatus::SEC_I_CONTINUE_NEEDED, produced, Some(extra)),
        );
        assert!(
            matches!(step, Step::Reply(Outcome { consumed: 6, .. })),
            "{step:?}"
        );
    }
}

#[test]
fn a_call_that_makes_no_progress_is_not_repeated() {
    let step = Leg::new().after(
        TWO,
        &result(SecurityStatus::SEC_I_CONTINUE_NEEDED, 0, Some(TWO.len())),
    );
    assert!(
        matches!(step, Step::Reply(Outcome { consumed: 0, .. })),
        "{step:?}"
    );
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
    let Step::Reply(outcome) =
        Leg::new().after(TWO, &result(SecurityStatus::SEC_E_OK, 99, Some(6)))
    else {
        panic!("no reply");
    };
    assert_eq!((outcome.consumed, outcome.produced), (6, 99));
    assert_eq!(outcome.becomes, Some(Phase::Established));
}

#[test]
fn a_fatal_status_keeps_token_and_alert_and_fails_the_session() {
    let alert = Some(Alert {
        level: 2,
        description: 40,
    });
    let Step::Reply(outcome) = Leg::new().after(
        TWO,
        &CallResult {
            alert,
            ..result(SecurityStatus::SEC_E_ALGORITHM_MISMATCH, 7, None)
        },
    ) else {
        panic!("no reply");
    };
    assert_eq!((outcome.produced, outcome.alert), (7, alert));
    assert_eq!(outcome.becomes, Some(Phase::Failed));
}

#[test]
fn a_failed_call_that_left_the_buffer_alone_has_no_token() {
    let mut leg = Leg::new();
    let untouched = leg.capacity();
    let Step::Reply(outcome) = leg.after(
        TWO,
        &result(SecurityStatus::SEC_E_INTERNAL_ERROR, untouched, None),
    ) else {
        panic!("no reply");
    };
    assert_eq!(outcome.produced, 0);
}

#[test]
fn plain_text_is_refused_without_a_call() {
    let Admission::Refuse(outcome, _) = admit(b"GET / HTTP/1.1", Place::First) else {
        panic!("HTTP was let in");
    };
    assert_eq!(outcome.becomes, Some(Phase::Failed));
    assert!(matches!(
        admit(&TWO[..3], Place::First),
        Admission::Wait(Outcome { missing: 2, .. })
    ));
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
